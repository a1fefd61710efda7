"""Check whether a reply's final answer is the gold answer.

The final answer is found, written plainly and compared with the gold: as words when the gold is words, as
numbers when both are, otherwise as mathematics by math-verify. Never raises on a reply, in any thread.
"""

import re
from functools import lru_cache
from typing import Final

from rim_eval.answers import _mathematics
from rim_eval.answers._final_answer import LONGEST_FINAL_ANSWER, find_final_answer
from rim_eval.answers._plain import WORDS, any_of, as_number, clean, is_words, plain
from rim_eval.types import FrozenModel

_LETTER_UNIT: Final = re.compile(r"(?<=\d)\s?(?:[mglLsh]|[kcm]?[mg]?/[mglLsh])(?:\^\{?[23]\}?)?$")
_PERCENT: Final = re.compile(r"\s*(?:\\?%|\bper\s?cent\b|\bpercentage points?\b)", re.IGNORECASE)
_CLOCK: Final = re.compile(r"0?(\d{1,2})(?::(\d\d))?\s*([ap]m)?", re.IGNORECASE)
_BASE: Final = re.compile(r"(?<=\d)_\{?(\d+)\}?$")
_EQUATION: Final = re.compile(r"[^=<>!]*\d[a-zA-Z][^=]*=")
_LIST: Final = re.compile(rf"[,;<>]|!=|\b{any_of(WORDS['connectives'])}\b")
_BRACKETS: Final = re.compile(r"\A(\\\{|[(\[]).*,.*(\\\}|[)\]])\Z")


class AnswerCheck(FrozenModel):
    """The verdict on a reply."""

    correct: bool | None
    """None is unscored: too large or too slow to compare, or several quantities with units."""
    extracted: str | None
    """The final answer as it was compared; None when the reply has none."""
    how: str
    """Where the answer was found and how it was compared, or why it was not."""


def check_answer(reply: str, gold: str, *, absolute_error: float | None = None) -> AnswerCheck:
    """Compare a reply's final answer with the gold answer.

    Args:
        reply: The reply without its trace.
        gold: The gold answer: a number, LaTeX, words, or a GSM8K solution that ends in `#### 18`.
        absolute_error: For sets whose golds are rounded decimals, such as MATH401 (gold -0.8889
            for -8/9, its authors' rule: 1e-3): the answer is right when it differs by less.
            None means exact equality: 0.75 is 3/4, but 0.333333 is not 1/3.

    Returns:
        The verdict, what was compared, and how. A reply without an answer is wrong.
    """
    plain_gold = _plain_gold(gold)
    final = find_final_answer(clean(reply), words=is_words(plain_gold))
    if not 0 < len(final.text) <= LONGEST_FINAL_ANSWER:
        how = f"{final.how}: too long for an answer" if final.text else "no answer in the reply"
        return AnswerCheck(correct=False, extracted=None, how=how)
    answer = plain(final.text)
    correct, how = None, str(final.how)
    try:
        if is_words(plain_gold):
            correct = _same_words(plain_gold, answer, prose=final.how == "answer is")
        elif final.how != "several quantities with units":
            correct = _same_value(plain_gold, answer, absolute_error)
    except _mathematics.CannotCompareError as problem:
        how = f"{how}: {problem}"
    return AnswerCheck(correct=correct, extracted=answer, how=how)


@lru_cache(maxsize=4096)
def _plain_gold(gold: str) -> str:
    """The gold in plain writing; of a solution, the answer that it gives."""
    gold = clean(gold)
    final = find_final_answer(gold)
    return plain(final.text if final.how in ("boxed", "####") else gold)


def _same_words(gold: str, answer: str, *, prose: bool) -> bool:
    """Whether an answer in words is the gold, perhaps after an article or `x =`.

    A remark may follow it in prose, and a choice what it stands for: `(C) 12`.
    """
    words = re.sub("[ -]", "[ -]?", gold.strip("()"))
    choice = r"|[).:]\s.*" if len(words) == 1 else ""
    remark = r"|\)?\s*[,;(]\s*(?!and\b|or\b)[a-z].*|\s+(?:because|since|as)\b.*" if prose else ""
    lead_in = r"(?:.*=|(?:the|an?|option|choice)\b)?[^\w-]*"
    return bool(re.fullmatch(rf"{lead_in}{words}(?:\W*{choice}{remark})", answer, re.IGNORECASE))


def _same_value(gold: str, answer: str, absolute_error: float | None) -> bool:
    """Whether both have a reading in common: `50%` may be meant as 50 or, if only one says so, as 0.5."""
    readings = [(_PERCENT.sub(sign, gold), _PERCENT.sub(sign, answer)) for sign in ("", "/100")]
    signs = {bool(_PERCENT.search(text)) for text in (gold, answer)}
    return any(_equal(*pair, absolute_error) for pair in readings[: len(signs)])


def _equal(gold: str, answer: str, absolute_error: float | None) -> bool:
    """Equality: as plain numbers where both are, else as mathematics."""
    if gold == answer:
        return True
    gold_brackets, brackets = _BRACKETS.findall(gold), _BRACKETS.findall(answer)
    if (
        ("=" not in gold and _EQUATION.match(answer))
        or {*_BASE.findall(answer)} - {*_BASE.findall(gold)}
        or (gold_brackets and brackets and gold_brackets != brackets)
    ):
        return False  # math-verify takes `2x + 1 = 0` for 0, and drops bases and some brackets
    if answer.count("=") > gold.count("=") and not _LIST.search(answer):
        answer = answer.rpartition("=")[2].strip()  # the value of `7/2 = 3.5`
    reference, number = as_number(gold), as_number(_LETTER_UNIT.sub("", answer))
    if reference is not None and number is not None:
        distance = abs(reference - number)
        return distance < absolute_error if absolute_error else not distance
    gold_clock, clock = _CLOCK.fullmatch(gold), _CLOCK.fullmatch(answer)
    if gold_clock and clock:  # math-verify takes them for ratios
        same_time = gold_clock.groups("00")[:2] == clock.groups("00")[:2]
        return same_time and len({gold_clock[3], clock[3]} - {None}) < 2
    return _mathematics.equal(gold, answer, absolute_error)
