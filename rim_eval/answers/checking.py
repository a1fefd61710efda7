"""Is the reply's final answer right?

The final answer is found (`_final_answer`), written plainly (`_plain`) and compared with the gold
(`_comparing`). Never raises on a reply, in any thread.
"""

from pydantic import BaseModel, ConfigDict

from rim_eval.answers import _expressions
from rim_eval.answers._announcements import LONGEST_FINAL_ANSWER
from rim_eval.answers._boxes import last_boxed
from rim_eval.answers._comparing import equals, readings
from rim_eval.answers._expressions import CannotCompareError
from rim_eval.answers._final_answer import find_final_answer
from rim_eval.answers._numbers import as_number
from rim_eval.answers._plain import is_words, plain
from rim_eval.errors import RimError


class Checked(BaseModel):
    """What the checker found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    correct: bool | None
    """None when answer and gold are too large or too slow to compare: unscored, not wrong."""
    extracted: str | None
    """The final answer as it was compared; None when the reply has none."""
    how: str
    """Where the answer was found and how it was compared, or why it was not."""


def check_answer(answer: str, gold: str, *, absolute_error: float | None = None) -> Checked:
    """Compare a reply's final answer with the gold answer.

    Args:
        answer: The reply without its trace.
        gold: The gold answer: a number, LaTeX, words, or a GSM8K solution that ends in `#### 18`.
        absolute_error: For sets whose golds are rounded decimals, such as MATH401 (gold -0.8889
            for -8/9, its authors' rule: 1e-3): the answer is right when it differs by less.
            None means exact equality.

    Returns:
        The verdict, what was compared, and how. A reply without an answer is wrong.
    """
    wanted = _plain_gold(gold)
    found = find_final_answer(answer, words=is_words(wanted))
    if not found.text:
        return Checked(correct=False, extracted=None, how="no answer in the reply")
    if len(found.text) > LONGEST_FINAL_ANSWER and found.how != "end of reply":
        return Checked(correct=False, extracted=None, how=f"{found.how}: too long for an answer")
    try:
        same = equals(found, wanted, absolute_error)
    except CannotCompareError as problem:
        return Checked(correct=None, extracted=plain(found.text), how=f"{found.how}: {problem}")
    return Checked(correct=same, extracted=readings(found)[-1] or plain(found.text), how=found.how)


def check_gold(gold: str) -> str:
    """The gold answer as it will be compared; for use when a prompt set is loaded.

    Raises:
        RimError: If it is empty or nothing that an answer can be compared with.
    """
    wanted = _plain_gold(gold)
    try:
        if wanted and (
            is_words(wanted) or as_number(wanted) is not None or _expressions.readable(wanted)
        ):
            return wanted
        problem = "it is empty" if not wanted else "it is neither a number, mathematics nor words"
    except CannotCompareError as too_large:
        problem = str(too_large)
    raise RimError(
        f"gold answer {gold[-80:]!r}: {problem}. Give a number, LaTeX without prose, or a word."
    )


def _plain_gold(gold: str) -> str:
    """The gold in plain writing; of a solution, what is boxed or stands after the last `####`."""
    boxed = last_boxed(gold)
    if boxed is None and "####" in gold:
        boxed = gold.rpartition("####")[2].strip().partition("\n")[0]
    return plain(gold if boxed is None else boxed)
