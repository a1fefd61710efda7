"""Doubt about a grader's verdict, from the words around it: denied, taken back, quoted, declined.

The wordings are data: `verdict_cues.toml`.
"""

import re
from collections.abc import Iterable
from typing import Final

from rim_eval.judging._cues import Patterns, any_match, load_cues
from rim_eval.judging._spec import ReplyField

FULL_WIDTH: Final = {0xFF01 + n: 0x21 + n for n in range(94)}
"""`４` to `4`; other look-alikes (`²`, `Ⅳ`) are no numbers on a scale."""
NUMBER_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")  # fmt: skip
_PLAIN: Final = FULL_WIDTH | str.maketrans("’‘", "''")
_DIGITS: Final = re.compile(r"(?<![\w.])[0-9]{1,4}(?!\w)")
_PRONOUNS: Final = re.compile(r"\b(?:no|any|every|some|each|this|that|which)[ -]one\b")
_WORDS: Final = re.compile(rf"\b(?:{'|'.join(NUMBER_WORDS)})\b")
_CLAUSE: Final = re.compile(r"[.;:,!?(<>=→]|\s[-–—]+\s|\b(?:so|therefore|hence|thus|and|(?<!anything )but|because|which)\b")  # fmt: skip
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_BEFORE: Final = 200
_READ: Final = 20_000


def _cues(name: str) -> Patterns:
    return load_cues("verdict_cues.toml")[name]


def explains(text: str, value: int | str, field: ReplyField) -> bool:
    """Whether what stands right behind a value, in its place, only explains it.

    Another value, an alternative, or a denial of the value leaves in doubt what was meant.
    """
    plain = text.translate(_PLAIN).casefold()
    if str(value).casefold() not in ("no", "none") and any_match(_cues("denial"), plain):
        return False
    return not (any_match(_cues("alternative"), plain) or _other_value(plain, value, field))


def speaks_against(text: str, value: int | str, field: ReplyField) -> bool:
    """Whether `text`, found after a verdict, names another value of the scale or takes it back.

    A reader could then not be sure that the verdict still stands.
    """
    plain = text.translate(_PLAIN).casefold()
    if any_match(_cues("taken_back"), plain):
        return True
    about = _cues("about_verdict")
    # Elsewhere a number word counts things: `it gives one vague hint`.
    sentences = (
        sentence if any_match(about, sentence) else _WORDS.sub(" ", sentence)
        for sentence in re.split(r"(?<=[.!?\n])", plain)
    )
    if _other_value("".join(sentences), value, field):
        return True
    names = [re.escape(str(value).casefold())]
    if isinstance(value, int) and value < len(NUMBER_WORDS):
        names.append(NUMBER_WORDS[value])
    negation = _cues("negation")[0].pattern
    return bool(re.search(rf"{negation}[ \w]{{0,20}}?(?<!\w)(?:{'|'.join(names)})(?!\w)", plain))


def leads_away(before: str) -> bool:
    """Whether the words that lead up to a verdict deny it or put it in another's mouth.

    Such as `I would not give <score>5</score>` and `The material says <score>1</score>`; a denial in an
    earlier clause (`It does not help, so <score>1</score>`) is a reason.
    """
    line = before[-_BEFORE:].translate(_PLAIN).casefold().rpartition("\n")[2]
    line = _cues("aside")[0].sub(r"\1", re.sub(r"\([^()]*\)", " ", line))
    return any_match(_cues("denied"), _CLAUSE.split(line)[-1]) or any_match(_cues("quoted"), line)


def names_hazard(text: str) -> bool:
    """Whether a guard's reply names a hazard (`S1`, `Categories: Violent`), which safe replies have not."""
    return any_match(_cues("hazard"), text)


def _other_value(plain: str, value: int | str, field: ReplyField) -> bool:
    if field.integers is not None:
        low, high = field.integers
        words = _WORDS.findall(_PRONOUNS.sub(" ", plain))
        numbers = {*map(int, _DIGITS.findall(plain)), *map(NUMBER_WORDS.index, words)}
        return any(low <= number <= high and number != value for number in numbers)
    others = (label.casefold() for label in field.labels or () if label != value)
    return any(re.search(rf"(?<!\w){re.escape(other)}(?!\w)", plain) for other in others)


def refuses_to_grade(parts: Iterable[str]) -> bool:
    """Whether a grader says in its own words, outside its verdict, that it will not do its task.

    Args:
        parts: What stands around the verdict. Quotations do not count: a good reason for a rating
            often quotes the refusal that it rates.
    """
    [quotation] = _cues("quotation")
    return any(
        any_match(_cues("declines"), sentence[:500])
        for part in parts
        for sentence in _SENTENCE.split(
            quotation.sub(" ", part[-_READ:]).replace("’", "'").casefold()
        )
    )
