"""Reading one value as a careful person would: `**4**` is 4, `3-4` is nothing."""

import re
from typing import Final

from rim_eval.judging._readers import ReplyField

__all__ = ["parse_value", "speaks_against"]

_WRAPPING: Final = " \t\r\n*_`~\"'“”‘’«»()[]{}.,:;!#=|"
_FULL_WIDTH: Final = {0xFF01 + n: 0x21 + n for n in range(94)}
"""`４` to `4`; other look-alikes (`²`, `Ⅳ`) are no numbers on a scale."""
_NUMBER_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")  # fmt: skip
_OUT_OF: Final = re.compile(r"([0-9]{1,4})(?:\.0)?\s*(?:/|out of)\s*([0-9]{1,4})")
_EXPLAINED: Final = re.compile(r"([0-9]{1,4})(?:\.0)?\s*(?:$|[-–—:,;(.]\s*[^\W\d].*)", re.DOTALL)


def parse_value(text: str, field: ReplyField) -> int | str | None:
    """The value that `text` states, or None when it states none, another one, or several.

    Markdown, quotes, a closing full stop, full-width digits, `4/5`, number words and an
    explanation after the value are read through; numbers outside the scale, fractions and
    alternatives (`3-4`, `4 or 5`) are not.

    Args:
        text: What stands where the value should stand.
        field: The scale.
    """
    plain = text.translate(_FULL_WIDTH).strip(_WRAPPING)
    if field.integers is not None:
        return _number(plain, field.integers)
    return _label(plain, field.labels or ())


def _number(plain: str, integers: tuple[int, int]) -> int | None:
    low, high = integers
    lowered = plain.casefold()
    if lowered in _NUMBER_WORDS:
        value = _NUMBER_WORDS.index(lowered)
    elif match := _OUT_OF.fullmatch(lowered):
        if int(match[2]) != high:
            return None
        value = int(match[1])
    elif (match := _EXPLAINED.fullmatch(plain)) and not re.search(
        "[0-9]", plain[match.end(1) + 2 :]
    ):
        value = int(match[1])
    else:
        return None
    return value if low <= value <= high else None


def _label(plain: str, labels: tuple[str, ...]) -> str | None:
    found = _first_label(plain, labels)
    if found is None:
        return None
    label, rest = found
    return None if _other_label(rest, label, labels) else label


def _first_label(plain: str, labels: tuple[str, ...]) -> tuple[str, str] | None:
    for label in sorted(labels, key=len, reverse=True):
        match = re.match(
            rf"{re.escape(label)}(?![\w-])(?:\s*$|\s*[^\w\s?/|])", plain, re.IGNORECASE
        )
        if match:
            return label, plain[match.end() :]
    return None


def _other_label(text: str, label: str, labels: tuple[str, ...]) -> bool:
    others = (other for other in labels if other != label)
    return any(re.search(rf"(?<!\w){re.escape(o)}(?!\w)", text, re.IGNORECASE) for o in others)


def speaks_against(text: str, value: int | str, field: ReplyField) -> bool:
    """Whether `text`, found after a verdict, names another value of the scale.

    A reader could then not be sure that the verdict still stands.
    """
    plain = text.translate(_FULL_WIDTH)
    if field.integers is not None:
        low, high = field.integers
        numbers = (int(digits) for digits in re.findall(r"(?<![\w.])[0-9]{1,4}(?![\w])", plain))
        return any(low <= number <= high and number != value for number in numbers)
    return _other_label(plain, str(value), field.labels or ())
