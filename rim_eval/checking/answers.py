"""Is the reply's final answer right?

The final answer is found (`_final_answer`), written plainly (`_plain`), and compared with the
gold: as text when the gold is words, exactly when both are plain numbers, otherwise as
mathematics by math-verify. Never raises on a reply, in any thread.
"""

import re
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from rim_eval.checking import _expressions
from rim_eval.checking._expressions import CannotCompareError
from rim_eval.checking._final_answer import (
    LONGEST_FINAL_ANSWER,
    FinalAnswer,
    find_final_answer,
    pick_expression,
)
from rim_eval.checking._numbers import as_number
from rim_eval.checking._plain import is_words, letters, plain, without_percent, without_unit
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
    found = find_final_answer(answer)
    if not found.text:
        return Checked(correct=False, extracted=None, how="no answer in the reply")
    if len(found.text) > LONGEST_FINAL_ANSWER and found.how != "end of reply":
        return Checked(correct=False, extracted=None, how=f"{found.how}: too long for an answer")
    try:
        return _compare(found, _plain_gold(gold), absolute_error)
    except CannotCompareError as problem:
        return Checked(correct=None, extracted=plain(found.text), how=f"{found.how}: {problem}")


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
    found = find_final_answer(gold) if "####" in gold or "\\boxed" in gold else None
    return plain(found.text if found else gold)


def _compare(found: FinalAnswer, gold: str, absolute_error: float | None) -> Checked:
    candidates = _candidates(found)
    if is_words(gold):
        same = any(_says_word(candidate, gold) for candidate in candidates)
    elif absolute_error is not None:
        same = any(_within(absolute_error, gold, candidate) for candidate in candidates)
    else:
        same = _equal(gold, candidates, found)
    return Checked(correct=same, extracted=candidates[-1], how=found.how)


def _candidates(found: FinalAnswer) -> list[str]:
    """Readings of the final answer: all of it, and from prose the expression that it gives."""
    if found.whole:
        return [plain(found.text)]
    picked = pick_expression(found)
    if found.how == "end of reply":
        return [plain(found.text.splitlines()[-1] if picked is None else picked)]
    return [plain(text) for text in (found.text, picked) if text is not None]


def _says_word(said: str, gold: str) -> bool:
    """Whether the answer is the word, perhaps after an article or `x =`."""
    bare = _LEAD_IN.sub("", said)
    return letters(gold) in (letters(said), letters(bare))


_LEAD_IN = re.compile(r"^(?:.*=|the\b|an?\b|option\b|choice\b)\s*(?=\S)", re.IGNORECASE)


def _equal(gold: str, candidates: list[str], found: FinalAnswer) -> bool:
    """Exact equality: as plain numbers where both are, else as mathematics."""
    pairs = [(wanted, given) for given in candidates for wanted in _readings(gold)]
    pairs = [(wanted, reading) for wanted, given in pairs for reading in _readings(given)]
    if any(wanted == given or _same_number(wanted, given) for wanted, given in pairs):
        return True
    if _number(gold) is not None and _decided(candidates[-1], found):
        return False
    short = [(wanted, given) for wanted, given in pairs if 0 < len(given) <= LONGEST_FINAL_ANSWER]
    if any(_expressions.equal(wanted, given, whole=True) for wanted, given in short):
        return True
    return not found.whole and _expressions.equal(gold, found.text, whole=False)


def _decided(answer: str, found: FinalAnswer) -> bool:
    """Whether an answer that is not the gold number needs no mathematics to be wrong.

    It is another number, it has no figure in it at all, or it names several in prose.
    """
    if _number(answer) is not None or not re.search(r"[\d\\]", answer):
        return True
    return not found.whole and bool(re.search(r"\d\s+(?:and|or)\s+\d", answer))


def _readings(text: str) -> list[str]:
    """`50%` may be meant as 50 or as 0.5; anything else has one reading."""
    bare = without_percent(text)
    if bare is None:
        return [text]
    number = _number(bare)
    return [bare] if number is None else [bare, str(number / 100)]


def _same_number(gold: str, answer: str) -> bool:
    wanted, given = _number(gold), _number(answer)
    return wanted is not None and wanted == given


def _number(text: str) -> Fraction | None:
    """The number that the text is, also written with a unit or as `x = 5`."""
    return as_number(without_unit(_ASSIGNMENT.sub("", text)))


_ASSIGNMENT = re.compile(r"^[a-zA-Z]\s*=\s*")


def _within(absolute_error: float, gold: str, answer: str) -> bool:
    wanted, given = _real(gold), _real(answer)
    return wanted is not None and given is not None and abs(wanted - given) < absolute_error


def _real(text: str) -> float | None:
    """The real number that the text is or evaluates to; of an equation, its last side."""
    text = text.rpartition("=")[2].strip()
    number = _number(text)
    if number is not None:
        return float(number)
    return _expressions.value(text) if 0 < len(text) <= LONGEST_FINAL_ANSWER else None
