r"""Write a reply and an answer plainly.

`clean` is for a whole reply: it drops only what cannot change a value, and the marks around formulas stay.
`plain` is for an answer: it drops those and units, and writes what math-verify misreads in a form it reads.
"""

import contextlib
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

WORDS: Final[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8")
)
"""The words that the answer checker knows (`vocabulary.toml` says what each list is)."""


def any_of(words: Iterable[str]) -> str:
    """The regular expression of any of the words, longer ones first."""
    return f"(?:{'|'.join(sorted(words, key=lambda word: (-len(word), word)))})"


FACTOR: Final = rf"{any_of(WORDS['factors'])}s?(?![a-z])"
"""Regular expression of a word that multiplies the number before it."""

FUNCTION: Final = rf"{any_of(WORDS['functions'])}(?![a-z])"
"""Regular expression of a function's or constant's name."""

SPELLED_NUMBER: Final = re.compile(
    rf"({any_of(WORDS['spelled'])}(?:[ -]{any_of(WORDS['spelled'])})?)"
    rf"( *{FACTOR}| +(?!{any_of(WORDS['fractions'])}\b)(?-i:[a-z]+s))?(?= *(?:\Z|[.,;(}}]))",
    re.IGNORECASE,
)
"""A spelled number with what it counts: `three apples`, but not `two thirds` or `one of them`."""

# What Unicode would not fold, or into something else (`½` into `1⁄2` with a slash of its own).
_CHARACTERS: Final = str.maketrans(
    {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "×": "*", "·": "*", "⋅": "*", "÷": "/", "±": r"\pm "}
    | {"π": r"\pi ", "∞": r"\infty ", "∪": r"\cup ", "∈": r"\in ", "≤": r"\le ", "≥": r"\ge "}
    | dict.fromkeys("−–‑⁻", "-")
    | dict.fromkeys("€£¥₹\u200b\u2060\ufeff\u00ad", "")
)
_Steps = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]


def _power_of_ten(factors: re.Match[str]) -> str:
    names = re.findall(any_of(WORDS["factors"]), factors[0].lower())
    return rf"\cdot 10^{{{sum(WORDS['factors'][name] for name in names)}}}"


def _in_figures(spelled: re.Match[str]) -> str:
    number = sum(WORDS["spelled"][each] for each in re.split("[ -]", spelled[1].lower()))
    return f"{number}{spelled[2] or ''}"


_CLEAN: Final[_Steps] = (
    (r"\\\$", ""),  # a dollar; `$` alone may be the mark of a formula
    (r"(?<=[\w)])\*\*(?=[\w(])", "^"),
    (r"<<[^<>\n]*>>|\*\*|`|(?<!\w)__(?=\w)|(?<=\w)__(?!\w)", ""),
    (r"(?:°|\\degree\b|\^\{?\\circ\}?(?=\s?[CF]\b))(?:\s?[CF]\b)?", ""),
    (r"\\boxed\s+(\d+)", r"\\boxed{\1}"),
    (r"(?<=\d)(?: x |x)(?=\$?\d)", "*"),
    (r"(?<=\d) [a-z]{2,}(?= [*/] \$?\d)", ""),  # `540 pounds / 3`
    (r"(?<![\\a-z])infinity(?![a-z])", r"\\infty "),
    (r"(?<=[\w$)}]) equals? (?=[\d$\\(-])", " = "),
    (r"(?:\b(?:minus|negative)\b|(?<=\bis )-|(?<=[:=] )-) +(?=[\d$\\])", "-"),
    (r"\b([ap])\.?m\b", lambda half: f"{half[1].lower()}m"),
    (r"√\s*(?:(\d+|[a-z])|\(([^()]*)\))", r"\\sqrt{\1\2}"),
    (  # thousands; `(1,234)` is a point
        r"(?<![\w.,^])\d{1,3}"
        r"(?:(?:\{,\}|,?\s?\\[,!:; ]\s?|[ ~]|,(?!\d{3}[)\]\\]))\d{3})+(?!,?\d)",
        lambda number: re.sub(r"\D", "", number[0]),
    ),
)
_TEXT: Final = r"\\(?:text|mbox|textbf|textit|mathrm|mathbf|textrm|boldsymbol|bm)\s*\{"
_POWER: Final = r"(?:\s*\^\s*(?:\{-?\d\}|\d))?"
_UNIT_WORD: Final = rf"(?!\s*(?:{FACTOR}|{any_of(WORDS['connectives'] + ['am', 'pm'])}\b))"
_PLAIN: Final[_Steps] = (
    (rf"(?:\A|(?<=\A\\text\{{)){SPELLED_NUMBER.pattern}", _in_figures),
    (r"\\\\(?:\[\w*\])?\s*", r"\\\\ "),  # a new row; before the spaces, or `\\ ` would lose one
    (r"(?<!\\)\\[\[\]()!]|\$", ""),
    (r"(?<!\\)\\[,;:> ]|~|\\q?quad\b|\s+", " "),
    (r"\\(?:left|right|bigg?[lrm]?)(?![a-z])\s*\.?", ""),
    (r"\\(begin|end)\{(?:array|bmatrix|smallmatrix)\}(?:\s*\{[clr|]+\})?", r"\\\1{pmatrix}"),
    (rf"(?<![\\a-z])({FUNCTION})", r"\\\1 "),
    (r"\^\s*-\s*(\d+|[a-z])", r"^{-\1}"),
    (r"\\sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"(\\[dt]?frac)\s+(\d)\s+(\d)", r"\1\2\3"),
    (r"\\varnothing\b", r"\\emptyset"),
    (  # 0.1666... is 0.1 and 6/90
        r"(\d*\.(\d*))\\(?:overline|bar)\{(\d+)\}",
        lambda d: rf"({d[1]}0+\frac{{{d[3]}}}{{{'9' * len(d[3])}{'0' * len(d[2])}}})",
    ),
    # `12\text{ cm}^2` is 12; `12\text{ million}` and `\text{cm}` are not.
    (
        rf"(?<=[\w}})\]])(?:\s*/?\s*{_TEXT}{_UNIT_WORD}[^{{}}\d]*\}}{_POWER})+\s*\.?\s*$",
        "",
    ),
    (rf"{_TEXT}([^{{}}]*)\}}", r"\1"),
    (rf"(?<=[\d}}])(?:\s*{FACTOR})+", _power_of_ten),
    # Words after a number or formula are its unit, and so are letters of other scripts.
    (
        rf"(?<=[\d}})\]])(?:\s*{any_of(WORDS['attached_units'])}|\s+{_UNIT_WORD}[a-z]{{2}}[a-z./ -]*)"
        rf"\.?{_POWER}\s*$|(?<=\d)\s*(?-i:[^\x00-\x7f]+)$",
        "",
    ),
    (r"\A[\s:;,]+|[\s:;,]+\Z|(?<!\\)\.\s*\Z", ""),
    (r"(\d)\s+(\d+)\s*/\s*(\d+)$", r"\1\\frac{\2}{\3}"),  # a mixed number
)
_NUMBER: Final = re.compile(r"[+-]?[\d.]{1,999}(?:\s*/\s*\d{1,999})?")
_WORDS: Final = re.compile(r"\([A-Z]\)|[A-Z]|[Nn]o|\(?[A-Za-z]{3,}(?:[ -][A-Za-z]+)*\)?")


def clean(reply: str) -> str:
    """The reply without emphasis, currency, spaced thousands and characters that only look alike."""
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", r"^{\g<0>}", reply).translate(_CHARACTERS)
    return _rewritten(unicodedata.normalize("NFKC", text), _CLEAN)


def plain(text: str) -> str:
    """A clean answer as math-verify reads it, without its units; percent signs stay."""
    return _rewritten(text, _PLAIN)


def _rewritten(text: str, steps: _Steps) -> str:
    for pattern, replacement in steps:
        text = re.sub(pattern, replacement, text, flags=re.IGNORECASE)
    return text


def as_number(text: str) -> Fraction | None:
    """The number that the whole text is (integer, decimal or a/b); None if it is anything else."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        return Fraction(re.sub(r"\s", "", text)) if _NUMBER.fullmatch(text) else None
    return None


def is_words(text: str) -> bool:
    """Whether a plain answer is words or one choice letter, not mathematics."""
    return bool(_WORDS.fullmatch(text))
