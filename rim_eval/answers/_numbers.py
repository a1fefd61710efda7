"""Plain numbers: compared exactly, without a computer algebra system."""

import re
from fractions import Fraction

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:\s*/\s*\d+)?")
_LONGEST = 60


def as_number(text: str) -> Fraction | None:
    """The number that the whole text is (integer, decimal or a/b); None if it is anything else."""
    text = re.sub(r"^([+-])\s+", r"\1", text.strip())
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    numerator, _, denominator = text.partition("/")
    if denominator and not int(denominator):
        return None
    return Fraction(numerator.strip().rstrip(".")) / int(denominator or 1)
