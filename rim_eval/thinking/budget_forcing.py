"""Budget forcing: what to write after a reply that was cut, so that the model answers, or thinks on.

A trace that reached its budget is closed as the model's family closes one, and the model answers after it. A trace
that ended by itself can be opened again: its end is left out and a word follows that goes on.

Source: Muennighoff et al. 2025, s1: Simple test-time scaling (arXiv 2501.19393), section 3.
"""

from typing import Final, NamedTuple

from rim_eval.thinking.generation_prompt import marker_family, read_tail

_GOES_ON: Final = "\nWait,"
"""What follows a trace that is opened again; the paper's own word."""


class TraceMarks(NamedTuple):
    """What to write so that a trace begins and ends after a prompt."""

    opening: str
    """"" where the prompt itself ends inside a trace."""
    closing: str
    """"" where the prompt opens a trace whose family is not known: it cannot be closed."""


def trace_marks(prompt: str, template: str) -> TraceMarks | None:
    """Return how the traces of a model are marked after a rendered prompt.

    Args:
        prompt: The think-mode prompt as the model reads it.
        template: Its chat template, which shows the marks where the prompt does not.

    Returns:
        None for a model that knows no traces.
    """
    tail = read_tail(prompt)
    is_open = tail.state == "open"
    if "<|channel|>" in template and "<|start|>" in template:
        opening = "" if is_open else "<|channel|>analysis<|message|>"
        return TraceMarks(opening, "<|end|><|start|>assistant<|channel|>final<|message|>")
    family = tail.family or marker_family(template)
    if family is None:
        return TraceMarks("", "") if is_open else None
    opening = "" if is_open else f"{family.opened_with}\n"
    return TraceMarks(opening, f"\n{family.closed_with}\n" + "\n" * (not family.phrase))


class Written(NamedTuple):
    """What a model wrote until its reply was cut."""

    text: str
    """The reply's text; with the trace and its marks where the engine does not separate them."""
    reasoning: str | None
    """The trace, where the engine separates it."""
    is_closed: bool
    """Whether the trace had ended, or there was none."""

    def continued_answer(self, marks: TraceMarks) -> str:
        """Return the prefill with which the model answers, or goes on with its answer."""
        return self._text(marks) if self.is_closed else self._text(marks).rstrip() + marks.closing

    def _text(self, marks: TraceMarks) -> str:
        if self.reasoning is None:
            return self.text
        opening = marks.opening.rstrip("\n") if self.reasoning[:1] == "\n" else marks.opening
        answer = marks.closing + self.text.lstrip() if self.text.strip() else ""
        return opening + (self.reasoning.rstrip() if answer else self.reasoning) + answer


def reopened_trace(trace: str) -> str:
    """Return a trace, without its marks, with the word after which the model thinks on."""
    return trace.strip() + _GOES_ON
