"""Does a final answer that was found equal the gold answer?

As words when the gold is words; within an error where one is declared; exactly when both are plain
numbers; otherwise as mathematics, by math-verify.
"""

import re
from fractions import Fraction
from typing import Final

from rim_eval.answers import _expressions
from rim_eval.answers._announcements import LONGEST_FINAL_ANSWER
from rim_eval.answers._final_answer import FinalAnswer, pick_expression
from rim_eval.answers._plain import is_words, letters, plain, without_percent
from rim_eval.answers._prose import without_hedged
from rim_eval.answers._quantities import quantity

_LEAD_IN: Final = re.compile(r"^(?:.*=|the\b|an?\b|option\b|choice\b)\s*(?=\S)", re.IGNORECASE)
_MATHEMATICAL: Final = re.compile(r"[\d\\]")
_CHOICE: Final = re.compile(r"\d\s+(?:and|or)\b")


def readings(found: FinalAnswer) -> list[str]:
    """What the final answer may be: all of it, and from prose the expression that it gives."""
    exact = found._replace(text=without_hedged(found.text))
    if found.whole:
        return [_written(exact.text)]
    picked = pick_expression(exact)
    if found.how == "end of reply":
        return [_written((exact.text.splitlines() or [""])[-1] if picked is None else picked)]
    return [_written(text) for text in (exact.text, picked) if text is not None]


def _written(text: str) -> str:
    r"""Plainly, and without hedged numbers again: `\text{less than }5` only now shows its words."""
    return without_hedged(plain(text))


def equals(found: FinalAnswer, gold: str, absolute_error: float | None) -> bool:
    """Whether the answer is the gold, which is in plain writing.

    Raises:
        CannotCompareError: If they are too large or too slow to compare.
    """
    answers = readings(found)
    if is_words(gold):
        return any(_says_word(answer, gold) for answer in answers)
    if absolute_error is not None:
        return any(_within(absolute_error, gold, answer) for answer in answers)
    return _equal(gold, answers, found)


def _says_word(said: str, gold: str) -> bool:
    """Whether the answer is the word, perhaps after an article or `x =`."""
    bare = _LEAD_IN.sub("", said)
    return letters(gold) in (letters(said), letters(bare))


def _equal(gold: str, answers: list[str], found: FinalAnswer) -> bool:
    """Exact equality: as plain numbers where both are, else as mathematics."""
    pairs = [
        (wanted, given)
        for answer in answers
        for wanted in _as_shares(gold)
        for given in _as_shares(answer)
    ]
    if any(wanted == given or _same_number(wanted, given) for wanted, given in pairs):
        return True
    if quantity(gold) is not None and _decided(answers[-1]):
        return False
    short = [(wanted, given) for wanted, given in pairs if 0 < len(given) <= LONGEST_FINAL_ANSWER]
    if any(_expressions.equal(wanted, given, whole=True) for wanted, given in short):
        return True
    return not found.whole and _expressions.equal(gold, without_hedged(found.text), whole=False)


def _decided(answer: str) -> bool:
    """Whether an answer that is not the gold number needs no mathematics to be wrong.

    It is another number, it has no figure in it at all, or it leaves a choice.
    """
    return (
        quantity(answer) is not None
        or not _MATHEMATICAL.search(answer)
        or bool(_CHOICE.search(answer))
    )


def _as_shares(text: str) -> list[str]:
    """`50%` may be meant as 50 or as 0.5; anything else has one reading."""
    bare = without_percent(text)
    if bare is None:
        return [text]
    number = quantity(bare)
    return [bare] if number is None else [bare, str(number / 100)]


def _same_number(gold: str, answer: str) -> bool:
    wanted, given = quantity(gold), quantity(answer)
    return wanted is not None and wanted == given


def _within(absolute_error: float, gold: str, answer: str) -> bool:
    wanted, given = _real(gold), _real(answer)
    return wanted is not None and given is not None and abs(wanted - given) < absolute_error


def _real(text: str) -> float | None:
    """The real number that the text is or evaluates to; of an equation, its last side."""
    text = text.rpartition("=")[2].strip()
    number: Fraction | None = quantity(text)
    if number is not None:
        return float(number)
    return _expressions.value(text) if 0 < len(text) <= LONGEST_FINAL_ANSWER else None
