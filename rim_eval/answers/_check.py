"""Check whether a reply's final answer is the gold answer.

The final answer is found, written plainly and compared with the gold: as words when the gold is words;
within an error where one is declared; exactly when both are plain numbers; otherwise as mathematics, by
math-verify. Never raises on a reply, in any thread.
"""

import re
from itertools import product
from typing import Final

from rim_eval.answers import _final_answer, _mathematics
from rim_eval.answers._final_answer import LONGEST_FINAL_ANSWER, FinalAnswer, without_hedged
from rim_eval.answers._mathematics import CannotCompareError
from rim_eval.answers._plain import as_number, is_words, letters, plain, quantity, without_percent
from rim_eval.errors import RimError
from rim_eval.types import FrozenModel

_LEAD_IN: Final = re.compile(r"^(?:.*=|the\b|an?\b|option\b|choice\b)\s*(?=\S)", re.IGNORECASE)
_MATHEMATICAL: Final = re.compile(r"[\d\\]")
_CHOICE: Final = re.compile(r"\d\s+(?:and|or)\b")


class AnswerCheck(FrozenModel):
    """What the checker found."""

    correct: bool | None
    """None when answer and gold are too large or too slow to compare: unscored, not wrong."""
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
            None means exact equality.

    Returns:
        The verdict, what was compared, and how. A reply without an answer is wrong.
    """
    plain_gold = _plain_gold(gold)
    final = _final_answer.find_final_answer(reply, words=is_words(plain_gold))
    if not final.text:
        return AnswerCheck(correct=False, extracted=None, how="no answer in the reply")
    if len(final.text) > LONGEST_FINAL_ANSWER and final.how != "end of reply":
        how = f"{final.how}: too long for an answer"
        return AnswerCheck(correct=False, extracted=None, how=how)
    try:
        same = _is_gold(final, plain_gold, absolute_error)
    except CannotCompareError as problem:
        return AnswerCheck(correct=None, extracted=plain(final.text), how=f"{final.how}: {problem}")
    extracted = _readings(final)[-1] or plain(final.text)
    return AnswerCheck(correct=same, extracted=extracted, how=final.how)


def check_gold(gold: str) -> str:
    """The gold answer as it will be compared; for use when a prompt set is loaded.

    Raises:
        RimError: If it is empty or nothing that an answer can be compared with.
    """
    plain_gold = _plain_gold(gold)
    problem = "it is neither a number, mathematics nor words" if plain_gold else "it is empty"
    try:
        if plain_gold and (
            is_words(plain_gold)
            or as_number(plain_gold) is not None
            or _mathematics.ask("readable", plain_gold)
        ):
            return plain_gold
    except CannotCompareError as too_large:
        problem = str(too_large)
    raise RimError(
        f"gold answer {gold[-80:]!r}: {problem}. Give a number, LaTeX without prose, or a word."
    )


def _plain_gold(gold: str) -> str:
    """The gold in plain writing; of a solution, what is boxed or stands after the last `####`."""
    boxed = _final_answer.last_boxed(gold)
    if boxed is None and "####" in gold:
        boxed = gold.rpartition("####")[2].strip().partition("\n")[0]
    return plain(gold if boxed is None else boxed)


def _readings(final: FinalAnswer) -> list[str]:
    """What the final answer may be: all of it, and from prose the expression that it gives."""
    exact = final._replace(text=without_hedged(final.text))
    if final.whole:
        return [_written(exact.text)]
    picked = _final_answer.pick_expression(exact)
    if final.how == "end of reply":
        return [_written((exact.text.splitlines() or [""])[-1] if picked is None else picked)]
    return [_written(text) for text in (exact.text, picked) if text is not None]


def _written(text: str) -> str:
    r"""Plainly, and without hedged numbers again: `\text{less than }5` only now shows its words."""
    return without_hedged(plain(text))


def _is_gold(final: FinalAnswer, gold: str, absolute_error: float | None) -> bool:
    """Whether the answer is the gold, which is in plain writing.

    Raises:
        CannotCompareError: If they are too large or too slow to compare.
    """
    answers = _readings(final)
    if is_words(gold):
        # Perhaps after an article or `x =`.
        texts = [text for answer in answers for text in (answer, _LEAD_IN.sub("", answer))]
        return letters(gold) in map(letters, texts)
    if absolute_error is not None:
        reference = _real(gold)
        return any(
            reference is not None and value is not None and abs(reference - value) < absolute_error
            for value in map(_real, answers)
        )
    return _equal_value(gold, answers, final)


def _equal_value(gold: str, answers: list[str], final: FinalAnswer) -> bool:
    """Exact equality: as plain numbers where both are, else as mathematics."""
    pairs = [pair for each in answers for pair in product(_as_shares(gold), _as_shares(each))]
    for reference, candidate in pairs:
        number = quantity(reference)
        if reference == candidate or (number is not None and number == quantity(candidate)):
            return True
    last = answers[-1]
    if quantity(gold) is not None and (
        # Another number, no figure in it at all, or a choice: wrong without any mathematics.
        quantity(last) is not None or not _MATHEMATICAL.search(last) or _CHOICE.search(last)
    ):
        return False
    short = [pair for pair in pairs if 0 < len(pair[1]) <= LONGEST_FINAL_ANSWER]
    if any(_mathematics.ask("equal", *pair, True) for pair in short):
        return True
    if final.whole:
        return False
    return bool(_mathematics.ask("equal", gold, without_hedged(final.text), False))


def _as_shares(text: str) -> list[str]:
    """`50%` may be meant as 50 or as 0.5; anything else has one reading."""
    bare = without_percent(text)
    if bare is None:
        return [text]
    number = quantity(bare)
    return [bare] if number is None else [bare, str(number / 100)]


def _real(text: str) -> float | None:
    """The real number that the text is or evaluates to; of an equation, its last side."""
    text = text.rpartition("=")[2].strip()
    number = quantity(text)
    if number is not None:
        return float(number)
    short = 0 < len(text) <= LONGEST_FINAL_ANSWER
    return _mathematics.ask("value", text) if short else None
