r"""Which part of a reply gives its final answer.

The first of these that the reply has:

1. the last `\boxed{}` (`_boxes`);
2. the last "the answer is" or "Answer:", or the last answer after `####`, whichever comes later;
3. the last "the result is" with the result right after it (2 and 3: `_announcements`);
4. its end.
"""

from typing import Final, Literal, NamedTuple

from rim_eval.answers._announcements import last_answer, last_marked, last_result
from rim_eval.answers._boxes import last_boxed
from rim_eval.answers._prose import standing_alone, without_emphasis

LONGEST_TAIL: Final = 600
"""Characters at the end of a reply that are searched when it announces no answer."""

How = Literal["boxed", "####", "answer is", "end of reply"]


class FinalAnswer(NamedTuple):
    """A piece of a reply and how it was found."""

    text: str
    how: How

    @property
    def whole(self) -> bool:
        """Whether the text is the answer and nothing else."""
        return self.how in ("boxed", "####")


def find_final_answer(reply: str, *, words: bool = False) -> FinalAnswer:
    """The part of the reply that gives its final answer; the text may be empty.

    Args:
        reply: The reply without its trace.
        words: Whether the answer is expected to be a word and not mathematics.
    """
    boxed = last_boxed(reply)
    if boxed is not None:
        return FinalAnswer(boxed, "boxed")
    return _announced(reply, words) or FinalAnswer(reply[-LONGEST_TAIL:].strip(), "end of reply")


def _announced(reply: str, words: bool) -> FinalAnswer | None:
    answer, marked = last_answer(reply, words=words), last_marked(reply)
    if marked and (answer is None or answer.start < marked.start):
        return FinalAnswer(marked.text, "####")
    answer = answer or last_result(reply)
    return FinalAnswer(answer.text, "answer is") if answer else None


def pick_expression(found: FinalAnswer) -> str | None:
    """The formula or the number standing alone that a piece of prose gives; None without one.

    At the end of a reply it is the last. After an announcement it is the first, if that is a
    formula; else the first number after the last equals sign.
    """
    text = without_emphasis(found.text)
    alone = standing_alone(text)
    if found.how == "end of reply" or not alone:
        return alone[-1].text if alone else None
    if alone[0].is_formula:
        return alone[0].text
    return next((each.text for each in alone if each.start > text.rfind("=")), None)
