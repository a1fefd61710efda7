"""Score interval and score test for the mean of one bounded value a prompt: Tango's interval for more than three values.

A prompt's value lies within -r..r and takes any of several values v with the frequencies f over n prompts.
The interval holds every mean m that the score test does not reject:

    n (mean of f - m)^2 <= q^2 * variance under p,

where p is the most likely distribution over the observed values and both ends of the range whose mean is m,
p(v) = f(v) / (1 + l (v - m)), and q a quantile. The statistic is Rao's for a multinomial distribution. As the
variance is that *under* the mean in question and not the observed one, the interval stays within the range, leans
the right way when values are skewed, and has a width even where all values are equal: there it is Wilson's, of prompts
that could have had another value. For the values -1, 0 and 1 and the normal quantile it is Tango's interval.

With the multiplier l the variance is (mean of f - m) / l. So at an end l = -q^2 / (n (m - mean of f)) is known, and the
end is the root of one equation, the sum of f(v) (v - m) / (1 + l (v - m)) = 0.

The test of no difference is the same statistic at m = 0: its p value is at most alpha exactly where the interval at the level
1 - alpha leaves zero out.

The quantile is Student's with n - 1 degrees of freedom, because the variance is estimated: it makes the interval about 5 % wider
at 30 prompts and 2 % at 60, where the normal quantile covers a little less than it says, and changes nothing at 300.
Where nearly all values are small against the range (several epochs, rates near 0) it is much wider than a bootstrap at 30 or
60 prompts: a large value on a prompt that was not drawn cannot be ruled out, and intervals that do so miss rare ones
(`benchmarks/paired_coverage.py`).
Values on a coarse lattice make the coverage swing by about a point around the level, as they do for Wilson's
interval. `benchmarks/trend_coverage.py` measures it.

Sources: T. Tango, Statistics in Medicine 17 (1998) 891-908; C. R. Rao, Proc. Cambridge Philosophical Society 44
(1948) 50-57 (score test); A. B. Owen, Biometrika 75 (1988) 237-249 (the weights p).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rim_eval.errors import RimError
from rim_eval.statistics._result import Interval, student_quantile, z_score

_ROUNDING = 1e-12
"""Values and means that differ by less differ by rounding."""


def bounded_mean_interval(
    values: ArrayLike, *, reach: float, level: float = 0.95, quantile: float | None = None
) -> Interval:
    """Score interval for the mean over prompts, in the unit of the values.

    Args:
        values: One value a prompt, shape (prompts,), each within -reach..reach.
        reach: The largest value that a prompt can have, above 0.
        level: Confidence, a fraction.
        quantile: In place of Student's (1.96 for a normal one at 95 %).

    Returns:
        Both ends; NaN without values. A single prompt tells nothing but its own value: both ends of the range.

    Raises:
        RimError: If a value is outside the range, or the level is not in (0, 1).
    """
    z_score(level)
    data = _scaled(values, reach)
    if not data.size:
        return Interval(math.nan, math.nan)
    if data.size == 1 and quantile is None:
        return Interval(-reach, reach)
    square = (
        student_quantile(data.size - 1, level) if quantile is None else quantile
    ) ** 2 / data.size
    distinct, counts = np.unique(data, return_counts=True)
    shares = counts / data.size
    return Interval(
        -reach * _upper_end(-distinct, shares, square), reach * _upper_end(distinct, shares, square)
    )


def bounded_share_interval(values: ArrayLike, *, level: float = 0.95) -> Interval:
    """Score interval for the mean over prompts of shares from 0 to 1, such as mean verdicts over several epochs.

    Args:
        values: One share a prompt, shape (prompts,).
        level: Confidence, a fraction.

    Raises:
        RimError: If a value is outside 0..1, or the level is not in (0, 1).
    """
    ends = bounded_mean_interval(2 * np.asarray(values, dtype=float) - 1, reach=1.0, level=level)
    return Interval((1 + ends.lower) / 2, (1 + ends.upper) / 2)


def bounded_mean_test(values: ArrayLike, *, reach: float) -> float:
    """Two-sided p value, from 0 to 1, of the score test that the mean over prompts is zero.

    Args:
        values: One value a prompt, shape (prompts,), each within -reach..reach.
        reach: The largest value that a prompt can have, above 0.

    Returns:
        The p value that belongs to `bounded_mean_interval`; NaN without values, 1 with a single one.

    Raises:
        RimError: If a value is outside the range.
    """
    data = _scaled(values, reach)
    if data.size < 2:
        return 1.0 if data.size else math.nan
    from scipy.special import stdtr

    distinct, counts = np.unique(data, return_counts=True)
    statistic = math.sqrt(data.size * _largest_square(distinct, counts / data.size))
    return float(2 * stdtr(data.size - 1, -statistic))


def _largest_square(values: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """The quantile's square over the number of prompts up to which zero is rejected.

    Args:
        values: Distinct values from -1 to 1, shape (values,).
        shares: Their frequencies, which add up to 1.
    """
    observed = float(shares @ values)
    away = values if observed < 0 else -values

    def pull(multiplier: float) -> float:
        return float(np.sum(shares * away / (1 - multiplier * away)))

    if abs(observed) < _ROUNDING:
        return 0.0
    nearly = 1 - _ROUNDING
    # Beyond a multiplier of 1 the missing mass would lie outside the range.
    if pull(nearly) <= 0:
        return abs(observed)
    from scipy.optimize import brentq

    return abs(observed) * float(brentq(pull, 0.0, nearly, xtol=1e-14))


def _scaled(values: ArrayLike, reach: float) -> NDArray[np.float64]:
    """The values over their reach, from -1 to 1."""
    data = np.asarray(values, dtype=float)
    if data.size and np.abs(data).max() > reach + 1e-9:
        raise RimError(
            f"A value of {np.abs(data).max():g} is outside the range of -{reach:g} to {reach:g}: "
            "give the largest value that a prompt can have as `reach`."
        )
    scaled: NDArray[np.float64] = np.clip(np.round(data / reach, 12), -1, 1)
    return scaled


def _upper_end(values: NDArray[np.float64], shares: NDArray[np.float64], square: float) -> float:
    """The largest mean that the score test does not reject.

    Args:
        values: Distinct values from -1 to 1, shape (values,).
        shares: Their frequencies, which add up to 1.
        square: The quantile's square over the number of prompts.

    Returns:
        A mean from -1 to 1.
    """
    observed = float(shares @ values)
    # Up to here the test rejects nothing, even if all the missing mass lay at the end of the range.
    safe = (observed + square) / (1 + square)
    inside = safe + _ROUNDING * (1 - safe)
    if inside >= 1 or _pull(inside, observed, values, shares, square) <= 0:
        return min(safe, 1.0)
    from scipy.optimize import brentq

    return float(brentq(_pull, inside, 1.0, args=(observed, values, shares, square), xtol=1e-14))


def _pull(
    mean: float,
    observed: float,
    values: NDArray[np.float64],
    shares: NDArray[np.float64],
    square: float,
) -> float:
    """Whether the multiplier at which the test would reject lies beyond the most likely one: positive inside."""
    distances = values - mean
    return float(np.sum(shares * distances / (1 - square / (mean - observed) * distances)))
