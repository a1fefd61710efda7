r"""Write an answer plainly, and read it as a number.

Plain writing drops typography, currency, units and thousands separators, and only what cannot change
the value: `\$18`, `**18**`, `18\text{ dollars}`, `1,234`, `\dfrac34`, `90^\circ` and `x \in [1, 2]`
become `18`, `18`, `18`, `1234`, `\frac34`, `90` and `[1, 2]`. Numbers are compared exactly, without a computer algebra system.
"""

import re
import tomllib
from collections.abc import Iterable
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Final

from rim_eval.types import FrozenModel


class Vocabulary(FrozenModel):
    """The words that the answer checker knows (`vocabulary.toml` says what each list is)."""

    factors: dict[str, int]
    connectives: frozenset[str]
    functions: frozenset[str]
    attached_units: frozenset[str]
    currencies: frozenset[str]
    hedges: frozenset[str]
    appraisals: frozenset[str]
    spelled_values: frozenset[str]
    spelled_numbers: frozenset[str]


def any_of(words: Iterable[str]) -> str:
    """The regular expression of any of the words, longer ones first."""
    return "|".join(sorted(words, key=lambda word: (-len(word), word)))


WORDS: Final = Vocabulary.model_validate(
    tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
)

_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:\s*/\s*\d+)?")
_LONGEST_NUMBER: Final = 60

FACTOR: Final = rf"(?:(?:{any_of(WORDS.factors)})s?\b)"
"""Regular expression of a word that multiplies the number before it."""

_ASSIGNMENT: Final = re.compile(r"^[a-zA-Z]\s*=\s*")
_PARTS: Final = re.compile(
    rf"(?P<number>[^a-zA-Z²³\s]+(?:\s[^a-zA-Z²³\s]+)*)(?P<gap>\s*)"
    rf"(?P<factors>(?:{FACTOR}\s*)*)(?P<unit>[a-zA-Z²³].*)?",
    re.DOTALL | re.IGNORECASE,
)
_POWER: Final = re.compile(r"\s*(?:\^\s*(?:\{\d\}|\d)|[²³])\s*$")
_ATTACHED: Final = re.compile(rf"(?:{any_of(WORDS.attached_units)})\.?")
_WORDS: Final = re.compile(r"[A-Za-z]{2}[A-Za-z./]*(?:\s+[A-Za-z./]+)*")

_UNWRAP: Final = re.compile(r"\\(?:text|mbox|textbf|textit|mathrm|mathbf|textrm|rm)\s*\{([^{}]*)\}")
_UNITS: Final = re.compile(
    r"\s*\\(?:text|mbox|mathrm|textrm)\s*\{(?P<words>[^{}\d]*)\}"  # \text{ cm}
    r"(?:\s*\^\s*(?:\{\d\}|\d))?"  # ^2
    r"(?:\s*/?\s*\\(?:text|mbox|mathrm|textrm)\s*\{[^{}\d]*\})*\s*$"  # / \text{s}
)
_CHARACTERS: Final = str.maketrans({"−": "-", "–": "-", "×": "*", "π": r"\pi ", "∞": r"\infty "})
_TYPOGRAPHY: Final = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Currency before the delimiters: `\$` is a dollar, `$` a delimiter.
        (rf"\\\$|\\?\b(?:{any_of(WORDS.currencies)})\b|\\(?:pounds|euro)\b|[€£¥₹]", ""),
        # The marks around formulas (`$`, `\[`), and Markdown's emphasis.
        (r"\\[\[\]()](?![a-zA-Z])|(?<!\\)\$+|\*\*|(?<!\w)__|__(?!\w)|`", ""),
        # LaTeX spaces thousands (`10\,!080`, `10,\!080`); before the spaces, which would part them.
        (r"(\d)(?:\s*,?\s*\\!\s*|,\\[,;]?)(?=\d{3}(?!\d))", r"\1"),
        (r"\\[,;:! ]|~|\\quad|\\qquad|[ \t\n\u00a0\u2009\u202f]+", " "),
        (r"\A\s+|\s+\Z", ""),
        (r"\^\s*(?:\{\s*)?\\circ(?:\s*\})?|°|\\degree\b", ""),
        # `\dfrac` is `\frac`, and brackets of any size are brackets.
        (r"\\[dtc]frac\b", r"\\frac"),
        (r"\\(?:left|right|big|Big|bigg|displaystyle)\b\s*", ""),
    )
)
_MEMBER: Final = re.compile(r"^[a-zA-Z]\w*\s*\\in\b\s*")
_THOUSANDS: Final = re.compile(r"(?<![\d.,])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_BRACKET: Final = re.compile(r"[(\[{]")
_PERCENT: Final = re.compile(r"\s*(?:\\?%|\bper\s?cent\b|\bpercentage points?\b)")


def as_number(text: str) -> Fraction | None:
    """The number that the whole text is (integer, decimal or a/b); None if it is anything else."""
    text = re.sub(r"^([+-])\s+", r"\1", text.strip())
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return None
    numerator, _, denominator = text.partition("/")
    if denominator and not int(denominator):
        return None
    return Fraction(numerator.strip().rstrip(".")) / int(denominator or 1)


def quantity(text: str) -> Fraction | None:
    """The number that the text is, also with a factor, with a unit or as `x = 5`; else None."""
    parts = _PARTS.fullmatch(_ASSIGNMENT.sub("", text).strip())
    if not parts:
        return None
    number, factors, unit = as_number(parts["number"]), parts["factors"], parts["unit"]
    if number is None:
        return None
    if unit and not _ATTACHED.fullmatch(bare := _POWER.sub("", unit)):
        # A unit that is not known is words, set off by a space.
        attached = not (parts["gap"] or factors)
        if attached or not _WORDS.fullmatch(bare) or not may_begin_unit(bare):
            return None
    return number * prod(WORDS.factors[word.lower().removesuffix("s")] for word in factors.split())


def may_begin_unit(text: str) -> bool:
    """Whether the first word may name a unit: it is neither a factor, a function nor `and`.

    What stands before such a word is not yet the answer.
    """
    first = "".join(text.split(maxsplit=1)[:1]).lower()
    factors = WORDS.factors.keys() | {f"{factor}s" for factor in WORDS.factors}
    return first not in factors | WORDS.connectives | WORDS.functions


def plain(text: str) -> str:
    """The answer in its plain writing, still LaTeX where it was; percent signs stay."""
    text = text.translate(_CHARACTERS)
    for pattern, replacement in _TYPOGRAPHY:
        text = pattern.sub(replacement, text)
    # `12\text{ cm}^2` is `12`; `12\text{ million}` and `\text{cm}` alone stay. Before the texts are
    # unwrapped: in a text, one letter can be a unit.
    unit = _UNITS.search(text)
    if unit and re.search(r"[\d}a-z.)]$", text[: unit.start()]) and may_begin_unit(unit["words"]):
        text = text[: unit.start()]
    text = _MEMBER.sub("", _UNWRAP.sub(r"\1", text)).strip(" :;,").rstrip(".").strip()
    # `1,234` is one number, but inside brackets two: `(1,234)` names a point.
    if _BRACKET.search(text) and not _THOUSANDS.fullmatch(text):
        return text
    return _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)


def without_percent(text: str) -> str | None:
    """The answer without its percent signs; None when it has none."""
    bare = _PERCENT.sub("", text).strip()
    return bare if bare != text.strip() else None


def letters(text: str) -> str:
    r"""Lower-case letters of a text answer: `\text{(C)}`, `(c)` and `C.` are all `c`."""
    return re.sub(r"[^a-z]", "", _UNWRAP.sub(r"\1", text).lower())


def is_words(text: str) -> bool:
    """Whether the answer is words or one choice letter in brackets, not mathematics."""
    bare = _UNWRAP.sub(r"\1", text).strip()
    return bool(re.fullmatch(r"\([A-Z]\)|[A-Z]|\(?[A-Za-z]{3,}(?:[ -][A-Za-z]+)*\)?", bare))
