"""Wilson's score interval: how sure one rate is, and Newcombe's for the difference of two.

With p = k / n and z the normal quantile, the ends are

    (p + z^2/2n  -+  z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).

It stays inside 0..1 and has a width at k = 0 and k = n, where refusal rates like to be.

With estimates a, b that are not paired and their ends (a1, a2), (b1, b2) the difference d = a - b lies within

    d - sqrt((a - a1)^2 + (b2 - b)^2)   to   d + sqrt((a2 - a)^2 + (b - b1)^2).

For two rates with Wilson's intervals this is Newcombe's method 10. The two are taken as drawn apart:
where both come from the same prompts and tend to agree, the interval is wider than it needs to be.

Sources: E. B. Wilson, JASA 22 (1927) 209-212; R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890;
G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702, for any two estimates.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Interval, Result, z_score


class Rate(Result):
    """One rate with its interval, as fractions from 0 to 1."""

    value: Figure
    """The rate; NaN when n is 0."""
    lower: Figure
    upper: Figure
    k: float
    """Sum of the verdicts: how many are 1 when each is 0 or 1."""
    n: int
    """How many verdicts there are."""
    level: float
    """Confidence of the interval."""
    method: str
    """How the interval was made."""


def rate(k: float, n: int, level: float = 0.95) -> Rate:
    """The rate k / n with Wilson's interval.

    Args:
        k: Verdicts that are 1, from 0 to n (a sum of fractional verdicts is allowed).
        n: Verdicts in all; with 0 the rate and both ends are NaN.
        level: Confidence, a fraction.

    Raises:
        RimError: If not 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise RimError(f"k={k!r}, n={n!r}: a rate needs counts with 0 <= k <= n.")
    lower, upper = wilson_interval(k, n, level) if n else (math.nan, math.nan)
    value = k / n if n else math.nan
    return Rate(value=value, lower=lower, upper=upper, k=k, n=n, level=level, method="Wilson")


def wilson_interval(k: float, n: int, level: float = 0.95) -> Interval:
    """Both ends of Wilson's interval for k of n (n > 0), fractions from 0 to 1."""
    z = z_score(level)
    p, spread = k / n, z * z / n
    centre = p + spread / 2
    half = math.sqrt(spread * (p * (1 - p) + spread / 4))
    lower = 0.0 if k == 0 else (centre - half) / (1 + spread)
    upper = 1.0 if k == n else (centre + half) / (1 + spread)
    return Interval(lower, upper)


class Estimate(NamedTuple):
    """A value with the ends of its interval, in any unit."""

    value: float
    lower: float
    upper: float


def independent_mean(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of independent estimates; the distances of its ends are those of theirs, squared and added.

    Args:
        estimates: One or more, with intervals of one level, in any unit.
    """
    n = len(estimates)
    value = math.fsum(each.value for each in estimates) / n
    below = math.hypot(*(each.value - each.lower for each in estimates)) / n
    above = math.hypot(*(each.upper - each.value for each in estimates)) / n
    return Estimate(value, value - below, value + above)


def unpaired_interval(first: Estimate, second: Estimate) -> Interval:
    """Interval of `first.value - second.value` at the level of the two intervals, in their unit.

    Args:
        first: What the difference is of.
        second: What it is from, the reference.
    """
    difference = first.value - second.value
    below = math.hypot(first.value - first.lower, second.upper - second.value)
    above = math.hypot(first.upper - first.value, second.value - second.lower)
    return Interval(difference - below, difference + above)
