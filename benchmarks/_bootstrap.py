"""The percentile bootstrap by prompt, exactly: what the score interval of a bounded mean is compared with.

Prompts are drawn again with replacement, each with all of its epochs, so that epochs of one
prompt never pass for independent prompts. The sum of n draws from the observed values is an n-fold
convolution, and a Fourier transform gives it at once: with it the percentile interval is that of
infinitely many resamples, without Monte Carlo error and without a seed. Verdicts lie on a lattice
(multiples of one over the epochs), which makes this exact; other values are rounded to a grid so
fine that the ends move by about a thousandth of the interval's width.

A bootstrap of values that are all equal has no width, as if a model that turned alike on 30 prompts
could not turn otherwise on the next. Then with z the normal quantile at most the share

    q = z^2 / (n + z^2)

of prompts has another value (Wilson's upper end for 0 of n), at worst one at either end of the range
-r..r, so the mean m lies in m - q (m + r) .. m + q (r - m). For differences of two verdicts (r = 1)
that are all 0, 1 or -1 this is Tango's interval.

Sources: B. Efron, Annals of Statistics 7 (1979) 1-26, Canadian J. of Statistics 9 (1981) 139-158 (percentile
interval).
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rim_eval.statistics._result import Interval, z_score
from rim_eval.statistics.wilson import wilson_interval

_COARSEST_LATTICE = 5_040
"""Steps in one unit up to which values count as multiples of a common fraction."""

_GRID = 512
"""Steps over the range of values that lie on no lattice."""

_REACH = 12
"""Standard deviations of the sum that are kept on each side; beyond is less than 1e-30."""

_ALIKE = 1e-9
"""Values that differ by less differ by rounding."""


class MeanInterval(NamedTuple):
    """Both ends, in the unit of the values, and how they were made."""

    interval: Interval
    method: str


def interval_by_prompt(values: ArrayLike, *, reach: float, level: float = 0.95) -> MeanInterval:
    """Interval of the mean of one value a prompt, also where all values are equal.

    Args:
        values: Shape (prompts,), at least one, each within -reach..reach.
        reach: The largest value that a prompt can have: 1 for a difference of two rates, 2 for a
            difference of two such differences (100 and 200 in percentage points).
        level: Confidence, a fraction.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    data = np.asarray(values, dtype=float)
    if np.ptp(data) > _ALIKE * reach:
        ends = bootstrap_by_prompt(data, level=level)
        return MeanInterval(ends, "bootstrap by prompt (percentile, exact)")
    share, mean = wilson_interval(0, len(data), level).upper, float(data[0])
    ends = Interval(mean - share * (mean + reach), mean + share * (reach - mean))
    return MeanInterval(ends, "Wilson, of prompts that could differ (all pairs differ alike)")


def bootstrap_by_prompt(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Percentile bootstrap interval for the mean over prompts, in the unit of the values.

    Args:
        values: One value a prompt, shape (prompts,): its mean verdict or its difference of means.
        level: Confidence, a fraction.

    Returns:
        Both ends, of the distribution over all resamples; NaN without values, a single point when
        all values are equal.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    z_score(level)
    data = np.asarray(values, dtype=float)
    if not data.size:
        return Interval(math.nan, math.nan)
    low, step = float(data.min()), _step(data)
    if step == 0:
        return Interval(low, low)
    sums, chances = _sum_distribution(np.rint((data - low) / step).astype(np.int64))
    below = np.cumsum(chances)
    tail = (1 - level) / 2
    ends = sums[np.searchsorted(below, [tail, 1 - tail])]
    lower, upper = low + step * ends / data.size
    return Interval(float(lower), float(upper))


def _step(values: NDArray[np.float64]) -> float:
    """The lattice's step, else the grid's; 0 when all values are equal."""
    distinct = np.unique(np.round(values, 12))
    if len(distinct) == 1:
        return 0.0
    if len(distinct) <= _COARSEST_LATTICE // 16:
        fractions = [_nearest_fraction(float(value)) for value in distinct]
        common = math.lcm(*(fraction.denominator for fraction in fractions))
        apart = max(abs(float(f) - v) for f, v in zip(fractions, distinct, strict=True))
        if common <= _COARSEST_LATTICE and apart < 1e-9:
            return 1 / common
    return float(np.ptp(values)) / _GRID


@lru_cache(maxsize=4096)
def _nearest_fraction(value: float) -> Fraction:
    return Fraction(value).limit_denominator(_COARSEST_LATTICE)


def _sum_distribution(
    counts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Every sum of n draws with replacement that has a chance worth keeping, and that chance.

    Args:
        counts: The values in steps above the smallest, whole numbers, shape (n,).

    Returns:
        Sums in ascending order and their chances, which add up to 1.
    """
    n, highest = len(counts), int(counts.max())
    reach = math.ceil(_REACH * float(counts.std()) * math.sqrt(n)) + highest
    size = 1 << (2 * reach).bit_length()
    once = np.bincount(counts, minlength=size) / n
    many = np.fft.irfft(np.fft.rfft(once) ** n, size)
    first = round(n * float(counts.mean())) - size // 2
    sums = np.arange(first, first + size)
    chances = np.clip(many[sums % size], 0, None)
    return sums, chances / chances.sum()
