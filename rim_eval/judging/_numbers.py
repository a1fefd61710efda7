"""Numbers as graders write them: digits, full-width digits and words."""

import re
from typing import Final

__all__ = ["FULL_WIDTH", "NUMBER_WORDS", "numbers_in", "without_number_words"]

FULL_WIDTH: Final = {0xFF01 + n: 0x21 + n for n in range(94)}
"""`４` to `4`; other look-alikes (`²`, `Ⅳ`) are no numbers on a scale."""
NUMBER_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")  # fmt: skip
_DIGITS: Final = re.compile(r"(?<![\w.])[0-9]{1,4}(?!\w)")
_PRONOUNS: Final = re.compile(r"\b(?:no|any|every|some|each|this|that|which)[ -]one\b")
_WORDS: Final = re.compile(rf"\b(?:{'|'.join(NUMBER_WORDS)})\b")


def numbers_in(text: str) -> set[int]:
    """The whole numbers that a text names, up to four digits; `no one` names none."""
    plain = text.translate(FULL_WIDTH).casefold()
    digits = {int(found) for found in _DIGITS.findall(plain)}
    words = _WORDS.findall(_PRONOUNS.sub(" ", plain))
    return digits | {NUMBER_WORDS.index(word) for word in words}


def without_number_words(text: str) -> str:
    """A text in lower case with a space in place of each number word."""
    return _WORDS.sub(" ", text)
