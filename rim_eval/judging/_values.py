"""Reading one value as a careful person would: `**4**` is 4, `3-4` is nothing."""

import re
from typing import Final

from rim_eval.judging._against import explains, speaks_against
from rim_eval.judging._numbers import FULL_WIDTH, NUMBER_WORDS
from rim_eval.judging._readers import ReplyField

__all__ = ["parse_value"]

_WRAPPING: Final = " \t\r\n*_`~\"'“”‘’«»()[]{}.,:;!#=|"
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
    plain = text.translate(FULL_WIDTH).strip(_WRAPPING)
    if field.integers is not None:
        return _number(plain, field.integers, field)
    return _label(plain, field)


def _number(plain: str, integers: tuple[int, int], field: ReplyField) -> int | None:
    low, high = integers
    lowered = plain.casefold()
    if lowered in NUMBER_WORDS:
        value = NUMBER_WORDS.index(lowered)
    elif match := _OUT_OF.fullmatch(lowered):
        if int(match[2]) != high:
            return None
        value = int(match[1])
    elif match := _EXPLAINED.fullmatch(plain):
        value, words = int(match[1]), plain[match.end(1) :]
        if re.search("[0-9]", words[2:]) or not explains(words, value, field):
            return None
    else:
        return None
    return value if low <= value <= high else None


def _label(plain: str, field: ReplyField) -> str | None:
    found = _first_label(plain, field.labels or ())
    if found is None:
        return None
    label, rest = found
    if rest.startswith("."):  # a sentence of its own is read as what follows a verdict
        return None if speaks_against(rest, label, field) else label
    return label if explains(rest, label, field) else None


def _first_label(plain: str, labels: tuple[str, ...]) -> tuple[str, str] | None:
    for label in sorted(labels, key=len, reverse=True):
        behind = r"(?![\w-])(?:\s*$|\s*(?P<rest>[^\w\s?/|].*))"
        match = re.match(re.escape(label) + behind, plain, re.IGNORECASE | re.DOTALL)
        if match:
            return label, match["rest"] or ""
    return None
