"""Tango's score interval: how sure the difference of two paired rates is.

Of n pairs, b are 1 only in the first arm and c only in the second; the difference is
d = (b - c) / n. The interval holds every d0 that the score test does not reject:

    | b - c - n d0 | <= z sqrt(n (2 q + d0 (1 - d0))),

where q is the maximum-likelihood estimate of the second arm's discordant share under d0, the
larger root of 2n q^2 + (-b - c + (2n - b + c) d0) q - c d0 (1 - d0) = 0.
It needs no concordant counts beyond n, covers at its level for small discordant counts, and has
a width even when b = c = 0.

Source: T. Tango, Statistics in Medicine 17 (1998) 891-908.
"""

import math

from rim_eval.errors import RimError
from rim_eval.statistics._result import Interval, z_score


def tango_interval(b: int, c: int, n: int, level: float = 0.95) -> Interval:
    """Score interval for the paired difference (b - c) / n, as fractions from -1 to 1.

    Args:
        b: Pairs that are 1 in the first arm and 0 in the second.
        c: Pairs that are 0 in the first arm and 1 in the second.
        n: All pairs; with 0 both ends are NaN.
        level: Confidence, a fraction.

    Raises:
        RimError: If a count is negative or b + c > n.
    """
    if min(b, c) < 0 or b + c > n:
        raise RimError(f"b={b!r}, c={c!r}, n={n!r}: needs 0 <= b, 0 <= c and b + c <= n.")
    z = z_score(level)
    if n == 0:
        return Interval(math.nan, math.nan)
    return Interval(-_upper_end(c, b, n, z), _upper_end(b, c, n, z))


def _upper_end(b: int, c: int, n: int, z: float) -> float:
    """The largest difference that the score test does not reject.

    Where the variance under the estimate is zero the equation has a second, spurious root at the
    estimate itself; there its solution is known in closed form.
    """
    if b == n:
        return 1.0
    if c == n:
        return (z * z - n) / (z * z + n)
    if b == c == 0:
        return z * z / (z * z + n)
    from scipy.optimize import brentq

    return float(brentq(_excess, (b - c) / n, 1.0, args=(b, c, n, z), xtol=1e-14))


def _excess(delta: float, b: int, c: int, n: int, z: float) -> float:
    """How far `delta` is from rejection from above: positive inside the interval."""
    variance = n * (2 * _constrained_share(delta, b, c, n) + delta * (1 - delta))
    return b - c - n * delta + z * math.sqrt(max(variance, 0.0))


def _constrained_share(delta: float, b: int, c: int, n: int) -> float:
    """Most likely share of pairs that are 1 only in the second arm, given the difference."""
    linear = -b - c + (2 * n - b + c) * delta
    root = math.sqrt(max(linear * linear + 8 * n * c * delta * (1 - delta), 0.0))
    return (root - linear) / (4 * n)
