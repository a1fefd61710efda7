"""How a model's trace begins in its own marks, for text that is to stand at its start."""

from typing import Final

from rim_eval.thinking._reading import knows_traces, read_tail

__all__ = ["trace_opening"]

_HARMONY: Final = "<|channel|>analysis<|message|>"


def trace_opening(prompt: str, template: str) -> str | None:
    """What to write after a rendered prompt so that the model is inside its trace.

    Args:
        prompt: The think-mode prompt as the model reads it.
        template: Its chat template, which shows the marks where the prompt does not.

    Returns:
        "" when the prompt ends inside a trace already; None for a model that knows no traces.
    """
    tail = read_tail(prompt)
    if tail.state == "open":
        return ""
    if "<|channel|>" in template and "<|start|>" in template:
        return _HARMONY
    family = tail.family or knows_traces(template)
    return None if family is None else f"{family.opened_with}\n"
