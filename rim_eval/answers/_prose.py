r"""Where numbers and formulas stand in prose, and which of them stand alone.

A number inside a formula, a list, a choice or a sum (`3, 5`, `3 or 5`, `3 + 5`, `x_3`) does not
stand alone, nor does one that a hedge makes a bound (`less than 5`): none of them is an answer.
"""

import re
from typing import Final, NamedTuple

from rim_eval.answers._quantities import FACTOR
from rim_eval.answers._vocabulary import (
    FACTORS,
    FUNCTIONS,
    HEDGES,
    SPELLED_NUMBERS,
    SPELLED_VALUES,
    any_of,
)

_FORMULA: Final = r"""
    \$\$ .+? \$\$
  | (?<!\\)\$ (?=\S) (?:\\\$|[^$\n])*? [^\s$] \$ (?!\d)   # $x$, but not "$5 and $3"
  | \\\( .+? \\\)
  | \\\[ .+? \\\]
"""
_NUMBER: Final = r"""
    [-−]? (?:\\?[$€£]\s?)?
    (?: \d+(?:,\d{3})*(?:\.\d+)? | \.\d+ )
    (?:\s?/\s?\d+)? (?:\s?\\?%)?
"""
_EXPRESSION: Final = re.compile(
    rf"(?: (?P<formula>{_FORMULA}) | {_NUMBER} ) (?:\s*{FACTOR})*",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_HEDGE: Final = rf"\b(?:{any_of(HEDGES)})(?:\s+or\s+equal\s+to)?".replace(" ", r"\s+")
_HEDGED: Final = re.compile(
    rf"{_HEDGE}[\s*_]+ (?: {_FORMULA} | {_NUMBER} (?:\s*{FACTOR})* | \\\S+ )",
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_EMPHASIS: Final = re.compile(r"\*\*|__|`")
_JOINED_BEFORE: Final = re.compile(
    r"""
    (?: [\w.{^_(\[,/+*\\]      # x_3, 2.3, (3, 1,3, 2+3
      | [-+*/^][ ]             # 2 - 3
      | \d(?:,|[ ]or|[ ]and)[ ]  # 1, 3 and 1 or 3
      | [ ](?:or|and)[ ][a-zA-Z][ ]?=[ ]?  # or x = 3
    ) \Z""",
    re.VERBOSE,
)
_REACH: Final = 10
"""Characters before a number that `_JOINED_BEFORE` looks at."""

_JOINED_AFTER: Final = re.compile(
    r"""
      [\w}(\[{\\]              # 3x, 3}, 3(x+1)
    | \s* [-+*/^_\\{=] \s* \S  # 3 + 5
    | \s* , \s* -? [\d.]       # 3, 5
    | \s+ (?:or|and) \s+ (?: [-\d] | [a-zA-Z]\s*= )  # 3 or 5, 3 or x = 5
    """,
    re.VERBOSE,
)
_SYMBOL: Final = re.compile(
    r"[\d=^<>√π∞+] | \\[a-zA-Z] | \$\S | (?<![\w'’])[b-hj-z](?![\w'’])", re.VERBOSE | re.I
)
_WORD: Final = re.compile(r"[a-z]+")
_MATHEMATICAL: Final = frozenset((*SPELLED_NUMBERS, *FUNCTIONS, *FACTORS, *SPELLED_VALUES))


class Expression(NamedTuple):
    """A number or formula of a text, as it is written there."""

    start: int
    text: str
    is_formula: bool


def standing_alone(text: str) -> list[Expression]:
    """The formulas and the numbers of the text that stand alone, in order."""
    found = []
    for match in _EXPRESSION.finditer(text):
        is_formula = match["formula"] is not None
        if is_formula or not _is_joined(text, match):
            found.append(Expression(match.start(), match[0], is_formula))
    return found


def _is_joined(text: str, number: re.Match[str]) -> bool:
    before = text[max(0, number.start() - _REACH) : number.start()]
    return bool(_JOINED_BEFORE.search(before) or _JOINED_AFTER.match(text, number.end()))


def without_hedged(text: str) -> str:
    """The text without the numbers and formulas that only bound the answer."""
    return _HEDGED.sub("", text)


def without_emphasis(text: str) -> str:
    """The text without Markdown's `**`, `__` and backticks."""
    return _EMPHASIS.sub("", text)


def has_expression(text: str) -> bool:
    """Whether the text holds anything mathematical: a figure, a formula, a variable, `forty`."""
    text = without_emphasis(text)
    if _SYMBOL.search(text) or re.fullmatch(r"\W*[a-z]\W*", text, re.IGNORECASE):
        return True
    return not _MATHEMATICAL.isdisjoint(_WORD.findall(text.lower()))
