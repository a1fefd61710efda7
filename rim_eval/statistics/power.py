"""Power: which difference a run can detect, before it is paid for.

A run of n prompts with one epoch has b + c discordant pairs, binomial over n; given their number,
b is binomial. The power is the chance that the exact McNemar test then reports p <= alpha, summed
exactly over all outcomes. Verdicts of one prompt in the two modes go together: their correlation
phi decides how many pairs are discordant, and pairing is worth what it is worth through phi.

Source: S. W. Duffy, Biometrics 40 (1984) 1005-1015 (asymptotic and exact power for the McNemar test).
"""

import math
from typing import NamedTuple

from rim_eval.errors import RimError
from rim_eval.statistics._result import Result


class Discordant(NamedTuple):
    """Chances that a pair is 1 in one arm only."""

    target_only: float
    reference_only: float


class MinimumDetectable(Result):
    """The smallest difference that a run of this size sees with the wanted power."""

    difference: float
    """Target minus reference, percentage points; NaN when no difference reaches the power."""
    target_rate: float
    """The target's rate at that difference, a fraction."""
    reference_rate: float
    n: int
    correlation: float
    """Within-prompt correlation of the verdicts that was assumed."""
    power: float
    alpha: float


def discordant_shares(
    target_rate: float, reference_rate: float, correlation: float = 0.0
) -> Discordant:
    """Shares of discordant pairs from the two rates and their correlation.

    Args:
        target_rate: A fraction.
        reference_rate: A fraction.
        correlation: Phi of the two verdicts of a prompt.

    Raises:
        RimError: If a rate is outside 0..1 or no such pair of verdicts can exist.
    """
    for name, rate in (("target_rate", target_rate), ("reference_rate", reference_rate)):
        if not 0 <= rate <= 1:
            raise RimError(f"{name}={rate!r}: a rate is a fraction from 0 to 1.")
    spread = math.sqrt(target_rate * (1 - target_rate) * reference_rate * (1 - reference_rate))
    both = target_rate * reference_rate + correlation * spread
    least = max(0.0, target_rate + reference_rate - 1)
    most = min(target_rate, reference_rate)
    if not least - 1e-12 <= both <= most + 1e-12:
        allowed = [(edge - target_rate * reference_rate) / spread for edge in (least, most)]
        raise RimError(
            f"correlation={correlation:g}: with rates {target_rate:g} and {reference_rate:g} it "
            f"can only lie from {allowed[0]:.2f} to {allowed[1]:.2f}."
        )
    both = min(max(both, least), most)
    return Discordant(target_rate - both, reference_rate - both)


def mcnemar_power(
    n: int,
    target_rate: float,
    reference_rate: float,
    correlation: float = 0.0,
    alpha: float = 0.05,
) -> float:
    """Chance that the exact two-sided McNemar test finds the difference, from 0 to 1.

    Args:
        n: Prompts, each with one verdict in each mode.
        target_rate: True rate in the target arm, a fraction.
        reference_rate: True rate in the reference arm, a fraction.
        correlation: Phi of a prompt's two verdicts.
        alpha: Level of the test.

    Raises:
        RimError: If n < 1, alpha is not in (0, 1), or the rates and correlation cannot go together.
    """
    if n < 1 or not 0 < alpha < 1:
        raise RimError(f"n={n!r}, alpha={alpha!r}: needs n of at least 1 and 0 < alpha < 1.")
    shares = discordant_shares(target_rate, reference_rate, correlation)
    discordant = sum(shares)
    if discordant <= 0:
        return 0.0
    import numpy as np
    from scipy.stats import binom

    pairs = np.arange(n + 1)
    # The largest count on the smaller side that still rejects; -1 where none does.
    edge = binom.ppf(alpha / 2, pairs, 0.5)
    edge = np.where(2 * binom.cdf(edge, pairs, 0.5) <= alpha, edge, edge - 1)
    share = min(1.0, shares.target_only / discordant)
    rejected = binom.cdf(edge, pairs, share) + binom.sf(pairs - edge - 1, pairs, share)
    rejected = np.where(edge >= 0, rejected, 0.0)
    return float(np.sum(binom.pmf(pairs, n, min(1.0, discordant)) * rejected))


def minimum_detectable(
    n: int,
    reference_rate: float,
    correlation: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
) -> MinimumDetectable:
    """The smallest rise above the reference rate that is found with the wanted power.

    The correlation is held, or lowered to the largest that the two rates allow.

    Raises:
        RimError: If power is not in (0, 1), or as in `mcnemar_power`.
    """
    if not 0 < power < 1:
        raise RimError(f"power={power!r}: needs a fraction between 0 and 1, such as 0.8.")

    def reaches(target_rate: float) -> bool:
        spread = target_rate * (1 - target_rate) * reference_rate * (1 - reference_rate)
        most = min(target_rate, reference_rate) - target_rate * reference_rate
        phi = min(correlation, most / math.sqrt(spread) if spread > 0 else 0.0)
        return mcnemar_power(n, target_rate, reference_rate, phi, alpha) >= power

    low, target_rate = reference_rate, 1.0 if reaches(1.0) else math.nan
    while target_rate - low > 1e-4:  # to within a hundredth of a point
        middle = (low + target_rate) / 2
        low, target_rate = (low, middle) if reaches(middle) else (middle, target_rate)
    return MinimumDetectable(
        difference=100 * (target_rate - reference_rate),
        target_rate=target_rate,
        reference_rate=reference_rate,
        n=n,
        correlation=correlation,
        power=power,
        alpha=alpha,
    )
