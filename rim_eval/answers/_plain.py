r"""One way of writing an answer: without typography, currency, units and thousands separators.

Only what cannot change the value goes: `\$18`, `**18**`, `18\text{ dollars}`, `1,234`, `\dfrac34`,
`90^\circ` and `x \in [1, 2]` become `18`, `18`, `18`, `1234`, `\frac34`, `90` and `[1, 2]`. The
steps are small, and run in the order of `_STEPS`, at the end of this file.
"""

import re
from collections.abc import Callable
from typing import Final

from rim_eval.answers._quantities import may_begin_unit
from rim_eval.answers._vocabulary import CURRENCIES, any_of

_CHARACTERS: Final = str.maketrans({"−": "-", "–": "-", "×": "*", "π": r"\pi ", "∞": r"\infty "})
_CURRENCY: Final = re.compile(rf"\\\$|\\?\b(?:{any_of(CURRENCIES)})\b|\\(?:pounds|euro)\b|[€£¥₹]")
_DELIMITERS: Final = re.compile(r"\\[\[\]()](?![a-zA-Z])|(?<!\\)\$+|\*\*|(?<!\w)__|__(?!\w)|`")
_THIN_SPACE: Final = re.compile(r"(\d)(?:\s*,?\s*\\!\s*|,\\[,;]?)(?=\d{3}(?!\d))")
_SPACES: Final = re.compile(r"\\[,;:! ]|~|\\quad|\\qquad|[ \t\n\u00a0\u2009\u202f]+")
_DEGREES: Final = re.compile(r"\^\s*(?:\{\s*)?\\circ(?:\s*\})?|°|\\degree\b")
_FRACTIONS: Final = re.compile(r"\\[dtc]frac\b")
_STYLES: Final = re.compile(r"\\(?:left|right|big|Big|bigg|displaystyle)\b\s*")
_TEXT: Final = re.compile(r"\\(?:text|mbox|textbf|textit|mathrm|mathbf|textrm|rm)\s*\{([^{}]*)\}")
_UNITS: Final = re.compile(
    r"\s*\\(?:text|mbox|mathrm|textrm)\s*\{(?P<words>[^{}\d]*)\}"  # \text{ cm}
    r"(?:\s*\^\s*(?:\{\d\}|\d))?"  # ^2
    r"(?:\s*/?\s*\\(?:text|mbox|mathrm|textrm)\s*\{[^{}\d]*\})*\s*$"  # / \text{s}
)
_MEMBER: Final = re.compile(r"^[a-zA-Z]\w*\s*\\in\b\s*")
_THOUSANDS: Final = re.compile(r"(?<![\d.,])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_BRACKET: Final = re.compile(r"[(\[{]")
_PERCENT: Final = re.compile(r"\s*(?:\\?%|\bper\s?cent\b|\bpercentage points?\b)")


def plain(text: str) -> str:
    """The answer in its plain writing, still LaTeX where it was; percent signs stay."""
    for step in _STEPS:
        text = step(text)
    return text


def without_percent(text: str) -> str | None:
    """The answer without its percent signs; None when it has none."""
    bare = _PERCENT.sub("", text).strip()
    return bare if bare != text.strip() else None


def letters(text: str) -> str:
    r"""Lower-case letters of a text answer: `\text{(C)}`, `(c)` and `C.` are all `c`."""
    return re.sub(r"[^a-z]", "", _unwrapped(text).lower())


def is_words(text: str) -> bool:
    """Whether the answer is words or one choice letter in brackets, not mathematics."""
    bare = _unwrapped(text).strip()
    return bool(re.fullmatch(r"\([A-Z]\)|[A-Z]|\(?[A-Za-z]{3,}(?:[ -][A-Za-z]+)*\)?", bare))


def _in_ascii(text: str) -> str:
    return text.translate(_CHARACTERS)


def _without_currency(text: str) -> str:
    return _CURRENCY.sub("", text)


def _without_delimiters(text: str) -> str:
    r"""Neither the marks around formulas (`$`, `\[`) nor Markdown's emphasis."""
    return _DELIMITERS.sub("", text)


def _without_thin_spaces(text: str) -> str:
    r"""`10\,!080` and `10,\!080` are how LaTeX spaces thousands."""
    return _THIN_SPACE.sub(r"\1", text)


def _evenly_spaced(text: str) -> str:
    return _SPACES.sub(" ", text).strip()


def _without_degrees(text: str) -> str:
    return _DEGREES.sub("", text)


def _without_styles(text: str) -> str:
    r"""`\dfrac` is `\frac`, and brackets of any size are brackets."""
    return _STYLES.sub("", _FRACTIONS.sub(r"\\frac", text))


def _without_unit_in_text(text: str) -> str:
    r"""`12\text{ cm}^2` is `12`; `12\text{ million}` and `\text{cm}` alone stay."""
    unit = _UNITS.search(text)
    if not unit or not re.search(r"[\d}a-z.)]$", text[: unit.start()]):
        return text
    return text[: unit.start()] if may_begin_unit(unit["words"]) else text


def _unwrapped(text: str) -> str:
    return _TEXT.sub(r"\1", text)


def _without_membership(text: str) -> str:
    return _MEMBER.sub("", text)


def _without_edges(text: str) -> str:
    """Neither spaces nor punctuation around it."""
    return text.strip(" :;,").rstrip(".").strip()


def _without_thousands_commas(text: str) -> str:
    """`1,234` is one number, but inside brackets two: `(1,234)` names a point."""
    if _BRACKET.search(text) and not _THOUSANDS.fullmatch(text):
        return text
    return _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)


_STEPS: Final[tuple[Callable[[str], str], ...]] = (
    _in_ascii,
    _without_currency,  # before the delimiters: `\$` is a dollar, `$` a delimiter
    _without_delimiters,
    _without_thin_spaces,  # before the spaces, which would part the number
    _evenly_spaced,
    _without_degrees,
    _without_styles,
    _without_unit_in_text,  # before the texts are unwrapped: in a text, one letter can be a unit
    _unwrapped,
    _without_membership,
    _without_edges,
    _without_thousands_commas,  # last: only now nothing else stands around the number
)
