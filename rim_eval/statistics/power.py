"""Power: which difference a run can detect, before it is paid for.

A run of n prompts with one epoch has b + c discordant pairs, binomial over n; given their number,
b is binomial. The power is the chance that the interval then leaves zero out, which is that McNemar's score
test reports p <= alpha (`significance`), summed exactly over all outcomes. Verdicts of one prompt in the two modes go together: their correlation
phi decides how many pairs are discordant, and pairing is worth what it is worth through phi.

With several epochs at a temperature above 0, a prompt has its own rate in each mode, and its epochs scatter around it. Let rho be
the share of the variance of one verdict, v = p (1 - p), that lies between prompts. The difference of a prompt's means over
k epochs then has the variance

    rho (v1 + v2) - 2 phi sqrt(v1 v2)   +   (1 - rho) (v1 + v2) / k,

between prompts and from sampling; with k = 1 it is that of single verdicts, whatever rho. Its power here is a
normal approximation, (difference / standard error) against the quantile; it is not for n below about 50.

Source: S. W. Duffy, Biometrics 40 (1984) 1005-1015 (asymptotic and exact power for the McNemar test).
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.statistics._result import Result

SHOWN_EPOCHS: Final = (1, 2, 3, 4, 8)
"""Epochs that are shown."""

MOST_EPOCHS: Final = 32
"""Beyond, advice would be to ask for other prompts."""

_WORTH: Final = 0.9
"""Doubling the epochs is worth its price while it leaves less than this share of the detectable difference."""


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


class EpochsAdvised(Result):
    """What further epochs do to the smallest difference that a run sees; points."""

    epochs: tuple[int, ...]
    """Epochs a prompt and mode."""
    differences: tuple[float, ...]
    """Smallest detectable rise with each, percentage points; NaN when no rise reaches the power."""
    advised: int | None
    """The fewest epochs whose doubling lowers that rise by less than 10 %; None when even 32 are fewer than that."""
    n: int
    reference_rate: float
    correlation: float
    """Within-prompt correlation of single verdicts of the two modes that was assumed."""
    prompt_share: float
    """Share of a verdict's variance that lies between prompts that was assumed."""
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
    """Chance that the two-sided score test of McNemar finds the difference, from 0 to 1; without one, that it errs.

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
    # The largest count on the smaller side that still rejects; below 0 where none does.
    z = NormalDist().inv_cdf(1 - alpha / 2)
    edge = np.floor((pairs - z * np.sqrt(pairs)) / 2)
    share = min(1.0, shares.target_only / discordant)
    rejected = binom.cdf(edge, pairs, share) + binom.sf(pairs - edge - 1, pairs, share)
    rejected = np.where((edge >= 0) & (pairs > 0), rejected, 0.0)
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
        phi = _possible_correlation(target_rate, reference_rate, correlation)
        return mcnemar_power(n, target_rate, reference_rate, phi, alpha) >= power

    target_rate = _smallest(reaches, reference_rate)
    return MinimumDetectable(
        difference=100 * (target_rate - reference_rate),
        target_rate=target_rate,
        reference_rate=reference_rate,
        n=n,
        correlation=correlation,
        power=power,
        alpha=alpha,
    )


def epochs_advised(
    n: int,
    reference_rate: float,
    correlation: float = 0.0,
    prompt_share: float = 0.7,
    power: float = 0.8,
    alpha: float = 0.05,
) -> EpochsAdvised:
    """How many epochs are worth asking for when replies are sampled at a temperature above 0.

    Args:
        n: Prompts.
        reference_rate: Rate in the reference arm, a fraction.
        correlation: Phi of single verdicts of a prompt in the two modes, held or lowered to the largest that the rates allow.
        prompt_share: Share of a verdict's variance that lies between prompts (the correlation of two epochs of one
            prompt in one mode), from `correlation` to 1. 1: all epochs of a prompt agree.
        power: Chance wanted of finding the difference.
        alpha: Level of the two-sided test.

    Raises:
        RimError: If n < 1, a fraction is out of range, or the prompt share is below the correlation: what two modes share,
            two epochs of one mode share too.
    """
    if n < 1 or not 0 < alpha < 1 or not 0 < power < 1:
        raise RimError(
            f"n={n!r}, alpha={alpha!r}, power={power!r}: needs n of at least 1, and alpha and power between 0 and 1."
        )
    if not 0 <= reference_rate <= 1:
        raise RimError(f"reference_rate={reference_rate!r}: a rate is a fraction from 0 to 1.")
    if not max(0.0, correlation) <= prompt_share <= 1:
        raise RimError(
            f"prompt_share={prompt_share!r}: needs a fraction from the correlation of the modes "
            f"({max(0.0, correlation):g}) to 1."
        )

    def smallest(epochs: int) -> float:
        def reaches(target_rate: float) -> bool:
            variance = _difference_variance(
                target_rate, reference_rate, correlation, prompt_share, epochs
            )
            return _normal_power(target_rate - reference_rate, variance / n, alpha) >= power

        return 100 * (_smallest(reaches, reference_rate, within=1e-8) - reference_rate)

    found = {epochs: smallest(epochs) for epochs in range(1, 2 * MOST_EPOCHS + 1)}
    enough = (k for k in range(1, MOST_EPOCHS + 1) if found[2 * k] > _WORTH * found[k])
    return EpochsAdvised(
        epochs=SHOWN_EPOCHS,
        differences=tuple(found[epochs] for epochs in SHOWN_EPOCHS),
        advised=next(enough, None),
        n=n,
        reference_rate=reference_rate,
        correlation=correlation,
        prompt_share=prompt_share,
        power=power,
        alpha=alpha,
    )


def _difference_variance(
    target_rate: float, reference_rate: float, correlation: float, prompt_share: float, epochs: int
) -> float:
    """Variance of one prompt's difference of means, squared fractions."""
    variances = target_rate * (1 - target_rate), reference_rate * (1 - reference_rate)
    phi = _possible_correlation(target_rate, reference_rate, correlation)
    between = prompt_share * sum(variances) - 2 * phi * math.sqrt(math.prod(variances))
    return between + (1 - prompt_share) * sum(variances) / epochs


def _normal_power(difference: float, variance: float, alpha: float) -> float:
    """Chance that a difference is found whose estimate is normal with this variance."""
    if variance <= 0:
        return float(difference > 0)
    normal = NormalDist()
    return normal.cdf(difference / math.sqrt(variance) - normal.inv_cdf(1 - alpha / 2))


def _possible_correlation(target_rate: float, reference_rate: float, correlation: float) -> float:
    """The correlation, or the largest that the two rates allow."""
    spread = target_rate * (1 - target_rate) * reference_rate * (1 - reference_rate)
    most = min(target_rate, reference_rate) - target_rate * reference_rate
    return min(correlation, most / math.sqrt(spread) if spread > 0 else 0.0)


def _smallest(
    reaches: Callable[[float], bool], reference_rate: float, within: float = 1e-4
) -> float:
    """The smallest rate above the reference that reaches what is wanted; NaN when even 1 does not."""
    low, target_rate = reference_rate, 1.0 if reaches(1.0) else math.nan
    while target_rate - low > within:
        middle = (low + target_rate) / 2
        low, target_rate = (low, middle) if reaches(middle) else (middle, target_rate)
    return target_rate
