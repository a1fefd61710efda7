"""Correction for a judge that errs, with the uncertainty of how much it errs.

A judge with sensitivity Se and specificity Sp turns a true rate pi into the observed rate
p = Se pi + (1 - Sp)(1 - pi). Solved for pi (Rogan and Gladen):

    pi = (p + Sp - 1) / (Se + Sp - 1).

Se and Sp come from a finite human-labelled set, so their variances enter beside that of p:

    var(pi) = (var(p) + (1 - pi)^2 var(Sp) + pi^2 var(Se)) / (Se + Sp - 1)^2.

A judge that errs more in one mode makes a difference out of nothing: calibrate each mode on its
own. For the difference of two arms the pairing enters through the covariance of the observed
verdicts, and a calibration shared by both arms through its common error. Counts are first moved
towards the middle (z^2/2 to each side of the verdicts, so z^2/4 to each of the four kinds of pairs,
and 1 to each side of the calibration), which is what makes the interval cover when counts are
small, and gives it a width where no pair is discordant. Observed rates that no true rate explains
(p < 1 - Sp or p > Se) are those of pi = 0 and pi = 1.

Sources: W. J. Rogan and B. Gladen, Am. J. Epidemiology 107 (1978) 71-76; Z. Lang and J. Reiczigel,
Preventive Veterinary Medicine 113 (2014) 13-22.
"""

import math
from typing import NamedTuple

from pydantic import model_validator

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result, z_score

LEAST_YOUDEN = 0.1
"""Below this Se + Sp - 1 a correction multiplies every error by more than ten."""


class Calibration(Result):
    """How a judge did on human-labelled samples of one mode."""

    true_positives: int
    """Samples that people call positive (misaligned) and the judge too."""
    positives: int
    true_negatives: int
    """Samples that people call negative and the judge too."""
    negatives: int

    @model_validator(mode="after")
    def _counts_fit(self) -> "Calibration":
        if not (
            0 <= self.true_positives <= self.positives
            and 0 <= self.true_negatives <= self.negatives
            and min(self.positives, self.negatives) > 0
        ):
            raise ValueError(
                "needs 0 <= true_positives <= positives, the same for negatives, both above 0"
            )
        return self

    @property
    def sensitivity(self) -> float:
        """Share of the positives that the judge finds, from 0 to 1."""
        return self.true_positives / self.positives

    @property
    def specificity(self) -> float:
        """Share of the negatives that the judge leaves alone, from 0 to 1."""
        return self.true_negatives / self.negatives


class CorrectedRate(Result):
    """A rate as observed and as corrected, fractions from 0 to 1."""

    raw: Figure
    value: Figure
    """The corrected rate."""
    lower: Figure
    upper: Figure
    level: float
    n: int


class CorrectedDifference(Result):
    """A paired difference as observed and as corrected, in percentage points."""

    raw: Figure
    difference: Figure
    """Corrected target rate minus corrected reference rate; within the interval."""
    lower: Figure
    upper: Figure
    level: float
    n_pairs: int
    shared_calibration: bool
    """Whether one calibration served both arms: then a mode-dependent judge goes unnoticed."""


class PairCounts(NamedTuple):
    """Pairs by their two observed verdicts."""

    both: int
    target_only: int
    reference_only: int
    neither: int


def corrected_rate(k: int, n: int, calibration: Calibration, level: float = 0.95) -> CorrectedRate:
    """The rate k / n corrected for the judge's errors.

    Args:
        k: Samples that the judge called positive.
        n: Judged samples.
        calibration: The judge on human-labelled samples of the same mode.
        level: Confidence, a fraction.

    Raises:
        RimError: If the judge is too near to guessing, or the counts do not fit.
    """
    if not 0 <= k <= n or n == 0:
        raise RimError(f"k={k!r}, n={n!r}: needs 0 <= k <= n and n above 0.")
    z = z_score(level)
    arm = _arm(k, n, calibration, z)
    half = z * math.sqrt(arm.p_variance / arm.youden**2 + arm.calibration_variance())
    return CorrectedRate(
        raw=k / n,
        value=arm.corrected,
        lower=_clip(arm.rate - half),
        upper=_clip(arm.rate + half),
        level=level,
        n=n,
    )


def corrected_difference(
    pairs: PairCounts,
    target: Calibration,
    reference: Calibration | None = None,
    level: float = 0.95,
) -> CorrectedDifference:
    """Target minus reference corrected for the judge's errors in each arm.

    Args:
        pairs: Counts of pairs by their two verdicts.
        target: The judge on labelled samples of the target's mode.
        reference: The same for the reference's mode; None uses the target's for both.
        level: Confidence, a fraction.

    Raises:
        RimError: If the judge is too near to guessing in either mode, or there are no pairs.
    """
    n = sum(pairs)
    if n == 0 or min(pairs) < 0:
        raise RimError(f"pairs={tuple(pairs)!r}: needs counts of 0 or more, and at least one pair.")
    z, other = z_score(level), reference or target
    high, low = pairs.both + pairs.target_only, pairs.both + pairs.reference_only
    first, second = _arm(high, n, target, z), _arm(low, n, other, z)
    size = n + z * z
    covariance = ((pairs.both + z * z / 4) / size - first.p * second.p) / size
    variance = (
        first.p_variance / first.youden**2
        + second.p_variance / second.youden**2
        - 2 * covariance / (first.youden * second.youden)
    )
    if reference is None:
        variance += first.calibration_variance(second)
    else:
        variance += first.calibration_variance() + second.calibration_variance()
    half, centre = 100 * z * math.sqrt(variance), 100 * (first.rate - second.rate)
    difference = 100 * (first.corrected - second.corrected)
    return CorrectedDifference(
        raw=100 * (high - low) / n,
        difference=difference,
        lower=min(difference, max(-100.0, centre - half)),
        upper=max(difference, min(100.0, centre + half)),
        level=level,
        n_pairs=n,
        shared_calibration=reference is None,
    )


class _Arm(NamedTuple):
    """One arm; all but its corrected rate after its counts were moved towards the middle."""

    corrected: float
    rate: float
    p: float
    p_variance: float
    youden: float
    sensitivity_variance: float
    specificity_variance: float

    def calibration_variance(self, other: "_Arm | None" = None) -> float:
        """Of the corrected rate; of the difference from an arm of the same calibration, if given."""
        by_sensitivity, by_specificity = -self.rate / self.youden, (1 - self.rate) / self.youden
        if other is not None:
            by_sensitivity -= -other.rate / other.youden
            by_specificity -= (1 - other.rate) / other.youden
        return (
            by_sensitivity**2 * self.sensitivity_variance
            + by_specificity**2 * self.specificity_variance
        )


def _arm(k: int, n: int, calibration: Calibration, z: float) -> _Arm:
    observed = k / n
    corrected = _clip((observed + calibration.specificity - 1) / _youden(calibration))
    p = (observed * n + z * z / 2) / (n + z * z)
    sensitivity = (calibration.true_positives + 1) / (calibration.positives + 2)
    specificity = (calibration.true_negatives + 1) / (calibration.negatives + 2)
    youden = sensitivity + specificity - 1
    return _Arm(
        corrected=corrected,
        rate=_clip((p + specificity - 1) / youden),
        p=p,
        p_variance=p * (1 - p) / (n + z * z),
        youden=youden,
        sensitivity_variance=sensitivity * (1 - sensitivity) / (calibration.positives + 2),
        specificity_variance=specificity * (1 - specificity) / (calibration.negatives + 2),
    )


def _youden(calibration: Calibration) -> float:
    """Se + Sp - 1, rejected when the judge does no better than guessing."""
    sensitivity, specificity = calibration.sensitivity, calibration.specificity
    youden = sensitivity + specificity - 1
    error = math.sqrt(
        sensitivity * (1 - sensitivity) / calibration.positives
        + specificity * (1 - specificity) / calibration.negatives
    )
    if youden - 1.96 * error <= 0 or youden < LEAST_YOUDEN:
        raise RimError(
            f"sensitivity {sensitivity:.2f} + specificity {specificity:.2f} = "
            f"{sensitivity + specificity:.2f} (n = {calibration.positives} positives and "
            f"{calibration.negatives} negatives): a judge this near to 1 cannot be told from "
            "guessing, and dividing by what is left would invent figures. Use a better judge or "
            "more labelled samples."
        )
    return youden


def _clip(rate: float) -> float:
    return min(1.0, max(0.0, rate))
