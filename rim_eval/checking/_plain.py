r"""One way of writing an answer: without typography, currency, units and thousands separators.

Only what cannot change the value goes: `\$18`, `**18**`, `18 dollars`, `1,234`, `\dfrac34`,
`90^\circ` and `x \in [1, 2]` become `18`, `18`, `18`, `1234`, `\frac34`, `90` and `[1, 2]`.
"""

import re

_SPACES = re.compile(r"\\[,;:! ]|~|\\quad|\\qquad|[ \t\n\u00a0\u2009\u202f]+")
_DELIMITERS = re.compile(r"\\[\[\]()](?![a-zA-Z])|(?<!\\)\$+|\*\*|(?<!\w)__|__(?!\w)|`")
_CURRENCY = re.compile(r"\\\$|\\?\b(?:USD|EUR|GBP)\b|\\(?:pounds|euro)\b|[€£¥₹]")
_DEGREES = re.compile(r"\^\s*(?:\{\s*)?\\circ(?:\s*\})?|°|\\degree\b")
_MINUS = str.maketrans({"−": "-", "–": "-", "×": "*", "π": r"\pi ", "∞": r"\infty "})
_STYLES = re.compile(r"\\(?:left|right|big|Big|bigg|displaystyle)\b\s*")
_FRACTIONS = re.compile(r"\\[dtc]frac\b")
_TEXT = re.compile(r"\\(?:text|mbox|textbf|textit|mathrm|mathbf|textrm|rm)\s*\{([^{}]*)\}")
_UNIT_IN_TEXT = re.compile(
    r"(?<=[\d}a-z.)])\s*\\(?:text|mbox|mathrm|textrm)\s*\{[^{}\d]*\}(?:\s*\^\s*(?:\{\d\}|\d))?"
    r"(?:\s*/?\s*\\(?:text|mbox|mathrm|textrm)\s*\{[^{}\d]*\})*\s*$"
)
_NOT_UNITS = r"and|or|to|pi|sqrt|sin|cos|tan|log|ln|hundred|thousand|million|billion|dozen|mod"
_UNIT_WORDS = re.compile(
    rf"(?<=[\d}})])(?:\s+(?!(?:{_NOT_UNITS})\b)[A-Za-z]{{2}}[A-Za-z./]*(?:\s+[A-Za-z./]+)*"
    r"|(?:[ckm]?m|ft|[km]?g|lbs?|oz|m?l|mph|hrs?|mins?|secs?|ms)\b\.?)"
    r"(?:\s*\^\s*(?:\{\d\}|\d)|[²³])?\s*$"
)
_THOUSANDS = re.compile(r"(?<![\d.,])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_THIN_THOUSANDS = re.compile(r"(?<=\d)\s*,?\s*\\!\s*(?=\d{3}(?!\d))|(?<=\d),\\[,;]?(?=\d{3}(?!\d))")
_MEMBER = re.compile(r"^[a-zA-Z]\w*\s*\\in\b\s*")
_PERCENT = re.compile(r"\s*(?:\\?%|\bper\s?cent\b|\bpercentage points?\b)")


def plain(text: str) -> str:
    """The answer in its plain writing, still LaTeX where it was; percent signs stay."""
    text = text.translate(_MINUS)
    text = _CURRENCY.sub("", text)
    text = _DELIMITERS.sub("", text)
    text = _THIN_THOUSANDS.sub("", text)
    text = _SPACES.sub(" ", text).strip()
    text = _STYLES.sub("", _FRACTIONS.sub(r"\\frac", _DEGREES.sub("", text)))
    text = _MEMBER.sub("", _TEXT.sub(r"\1", _UNIT_IN_TEXT.sub("", text)))
    text = text.strip(" :;,").rstrip(".").strip()
    if not re.search(r"[(\[{]", text) or _THOUSANDS.fullmatch(text):
        text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    return text


def without_unit(text: str) -> str:
    """The answer without words of a unit at its end: `18 dollars` is `18`; `5 x`, `2 pi` stay."""
    return _UNIT_WORDS.sub("", text).strip()


def without_percent(text: str) -> str | None:
    """The answer without its percent signs; None when it has none."""
    bare = _PERCENT.sub("", text).strip()
    return bare if bare != text.strip() else None


def letters(text: str) -> str:
    r"""Lower-case letters of a text answer: `\text{(C)}`, `(c)` and `C.` are all `c`."""
    return re.sub(r"[^a-z]", "", _TEXT.sub(r"\1", text).lower())


def is_words(text: str) -> bool:
    """Whether the answer is words or one choice letter in brackets, not mathematics."""
    bare = _TEXT.sub(r"\1", text).strip()
    return bool(re.fullmatch(r"\([A-Z]\)|[A-Z]|\(?[A-Za-z]{3,}(?:[ -][A-Za-z]+)*\)?", bare))
