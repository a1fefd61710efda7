"""The difference of two estimates that are not paired, from their own intervals.

With estimates a, b and their ends (a1, a2), (b1, b2) the difference d = a - b lies within

    d - sqrt((a - a1)^2 + (b2 - b)^2)   to   d + sqrt((a2 - a)^2 + (b - b1)^2).

For two rates with Wilson's intervals this is Newcombe's method 10. The two are taken as drawn apart:
where both come from the same prompts and tend to agree, the interval is wider than it needs to be.

Sources: R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890; G. Y. Zou and A. Donner, Statistics in
Medicine 27 (2008) 1693-1702, for any two estimates.
"""

from math import hypot
from typing import NamedTuple

from rim_eval.statistics._result import Interval


class Estimate(NamedTuple):
    """A value with the ends of its interval, in any unit."""

    value: float
    lower: float
    upper: float


def unpaired_interval(first: Estimate, second: Estimate) -> Interval:
    """Interval of `first.value - second.value` at the level of the two intervals, in their unit.

    Args:
        first: What the difference is of.
        second: What it is from, the reference.
    """
    difference = first.value - second.value
    below = hypot(first.value - first.lower, second.upper - second.value)
    above = hypot(first.upper - first.value, second.value - second.lower)
    return Interval(difference - below, difference + above)
