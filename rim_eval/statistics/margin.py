"""How many prompts decide on which side of a limit a figure lies.

Let a figure x, measured on n prompts, have an interval at some level with the half width h on the side of the limit L.
An interval shrinks with the square root of the number of prompts, so on N prompts its half width is about
h sqrt(n / N). If x is the true figure, an interval on N fresh prompts lies wholly beyond L, or wholly short of it, with the
chance `power` when

    N = n (h (z + z_power) / (z |x - L|))^2,

where z is the normal quantile of the level and z_power that of the power. For the difference of two paired rates with
Wald's h this is the sample size of the test of a margin. Assumptions: prompts alike those that were run, the
figure as measured is the true one (it is not: take N as an order of magnitude), N large enough for the normal.

Source: J.-P. Liu, H.-M. Hsueh, E. Hsieh and J. J. Chen, Statistics in Medicine 21 (2002) 231-245, for paired rates.
"""

import math
from statistics import NormalDist

from rim_eval.errors import RimError
from rim_eval.statistics._result import z_score
from rim_eval.statistics.wilson import Estimate


def prompts_to_decide(
    estimate: Estimate, n: int, limit: float, level: float = 0.95, power: float = 0.8
) -> int | None:
    """Prompts, those that were run among them, with which an interval most likely lies on one side of a limit.

    Args:
        estimate: The figure with its interval, in any unit.
        n: Prompts behind it, at least 1.
        limit: The limit, in the same unit.
        level: Confidence of the interval, a fraction.
        power: Chance wanted of a decision, a fraction above 1/2.

    Returns:
        The number, at least n; None when the figure lies on the limit, where no number decides.

    Raises:
        RimError: If n < 1, the level is not in (0, 1), or the power is not in (0.5, 1).
    """
    if n < 1 or not 0.5 < power < 1:
        raise RimError(
            f"n={n!r}, power={power!r}: needs n of at least 1 and a power between 0.5 and 1."
        )
    z = z_score(level)
    away = abs(estimate.value - limit)
    above = limit > estimate.value
    half = estimate.upper - estimate.value if above else estimate.value - estimate.lower
    if away == 0:
        return None
    return max(n, math.ceil(n * (half * (1 + NormalDist().inv_cdf(power) / z) / away) ** 2))
