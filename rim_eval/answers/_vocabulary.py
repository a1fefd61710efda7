"""The words that the answer checker knows; the modules that use them hold no lists."""

from collections.abc import Collection
from typing import Final

FACTORS: Final = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
"""Words after a number that multiply it: `5 million` is 5,000,000, never 5.

`dozen` is a unit: GSM8K asks "how many dozens" and has the golds 7, 5, 2 and 20.
"""

CONNECTIVES: Final = ("and", "or", "to")
FUNCTIONS: Final = ("pi", "sqrt", "sin", "cos", "tan", "log", "ln", "mod")

NOT_UNITS: Final = frozenset(
    (*FACTORS, *(f"{factor}s" for factor in FACTORS), *CONNECTIVES, *FUNCTIONS)
)
"""No unit begins with these: what stands before them is not yet the answer."""

ATTACHED_UNITS: Final = (
    "m", "mm", "cm", "km", "ft", "g", "kg", "mg", "lb", "lbs", "oz", "l", "ml", "mph",
    "hr", "hrs", "min", "mins", "sec", "secs", "ms",
)  # fmt: skip
"""Units that may stand right at their number (`5km`), where `5xy` is a product."""

CURRENCIES: Final = ("USD", "EUR", "GBP")

HEDGES: Final = (
    "less than", "fewer than", "smaller than", "more than", "greater than", "larger than",
    "above", "below", "not",
)  # fmt: skip
"""Words after which a number bounds the answer or denies it. `at least 5` names the least number
there is, and `about 5` a rounded one: both are given as answers."""

APPRAISALS: Final = (
    "correct", "incorrect", "wrong", "consistent", "reasonable", "plausible", "valid", "simple",
    "clear", "obvious",
)  # fmt: skip
"""What `the answer is` says of an answer given elsewhere."""

SPELLED_VALUES: Final = ("infinity", "infinite", "undefined")

SPELLED_NUMBERS: Final = (
    "zero", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
"""They make an announcement one, so that no other number is read in its place. `one` is a pronoun."""


def any_of(words: Collection[str]) -> str:
    """The regular expression of any of the words."""
    return "|".join(sorted(words, key=len, reverse=True))
