"""Numbers with a factor and a unit: `5 million dollars` is 5,000,000, and `12 cm^2` is 12."""

import re
from fractions import Fraction
from math import prod
from typing import Final

from rim_eval.answers._numbers import as_number
from rim_eval.answers._vocabulary import ATTACHED_UNITS, FACTORS, NOT_UNITS, any_of

FACTOR: Final = rf"(?:(?:{any_of(FACTORS)})s?\b)"
"""Regular expression of a word that multiplies the number before it."""

_ASSIGNMENT = re.compile(r"^[a-zA-Z]\s*=\s*")
_PARTS = re.compile(
    rf"(?P<number>[^a-zA-Z²³\s]+(?:\s[^a-zA-Z²³\s]+)*)(?P<gap>\s*)"
    rf"(?P<factors>(?:{FACTOR}\s*)*)(?P<unit>[a-zA-Z²³].*)?",
    re.DOTALL | re.IGNORECASE,
)
_POWER = re.compile(r"\s*(?:\^\s*(?:\{\d\}|\d)|[²³])\s*$")
_ATTACHED = re.compile(rf"(?:{any_of(ATTACHED_UNITS)})\.?")
_WORDS = re.compile(r"[A-Za-z]{2}[A-Za-z./]*(?:\s+[A-Za-z./]+)*")


def quantity(text: str) -> Fraction | None:
    """The number that the text is, also with a factor, with a unit or as `x = 5`; else None."""
    parts = _PARTS.fullmatch(_ASSIGNMENT.sub("", text).strip())
    if not parts:
        return None
    number, factors, unit = as_number(parts["number"]), parts["factors"], parts["unit"]
    attached = not (parts["gap"] or factors)
    if number is None or (unit and not _is_unit(unit, attached)):
        return None
    return number * prod(FACTORS[word.lower().removesuffix("s")] for word in factors.split())


def _is_unit(text: str, attached: bool) -> bool:
    """Whether the text after a number is a unit: a known one, or words set off by a space."""
    bare = _POWER.sub("", text)
    if _ATTACHED.fullmatch(bare):
        return True
    return not attached and bool(_WORDS.fullmatch(bare)) and may_begin_unit(bare)


def may_begin_unit(text: str) -> bool:
    """Whether the first word may name a unit: it is neither a factor, a function nor `and`."""
    first = text.split(maxsplit=1)[:1]
    return not first or first[0].lower() not in NOT_UNITS
