"""Correction for a judge that errs, with the uncertainty of how much it errs on this model.

A judge with sensitivity Se and specificity Sp turns a true rate pi into the observed rate
p = Se pi + (1 - Sp)(1 - pi). Solved for pi (Rogan and Gladen):

    pi = (p + Sp - 1) / (Se + Sp - 1).

Se and Sp are known from human-labelled replies, in one of two ways:

- Of the evaluated model itself, k of n: Se is drawn from Beta(k + 1/2, n - k + 1/2).
- Of other models: judges vary between models by more than their samples say, so the labelled replies
  are not pooled. The logit of a further model's Se lies around the mean of the m measured logits
  y = log((k + 1/2) / (n - k + 1/2)) as a t variable with m - 1 degrees of freedom times

      sqrt(s^2 (1 + 1/m)),

  with s^2 the variance between the y, and never less than what sampling alone gives (the mean of
  1/(k + 1/2) + 1/(n - k + 1/2)). Se and Sp are taken to vary apart. It needs three models.

The observed counts are drawn from their Beta (1/2 added to each side) or Dirichlet distribution (1 added
to each of the four kinds of pairs). The interval
holds the middle share of pi over all draws. A drawn rate that no true rate explains (below both Se and
1 - Sp, or above both) leaves pi between 0 and p, or between p and 1; any other draw in which the judge
is near to guessing leaves it between 0 and 1. The draws are Sobol points: the same counts give the same
figures on every machine.

For the difference of two arms the pairing enters through the joint counts, and one calibration that
serves both arms through common draws. Calibrate each mode on its own where there are labels: a
judge that errs more in one mode makes a difference out of nothing.

`benchmarks/judge_correction.py` simulates how often the intervals hold the truth of a new model.

Sources: W. J. Rogan and B. Gladen, Am. J. Epidemiology 107 (1978) 71-76; J. P. T. Higgins,
S. G. Thompson and D. J. Spiegelhalter, J. R. Statist. Soc. A 172 (2009) 137-159, for the prediction
of a further study; L. D. Brown, T. T. Cai and A. DasGupta, Statistical Science 16 (2001) 101-133, for the 1/2.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result, z_score
from rim_eval.statistics.wilson import Estimate

LEAST_YOUDEN: Final = 0.1
"""At or below this Se + Sp - 1 a judge tells nothing: a correction multiplies every error by ten."""
LEAST_MODELS: Final = 3
"""With fewer measured models their spread is not known."""
_MOST_GUESSING: Final = 0.05
"""Share of draws near to guessing from which on nothing is corrected by labels of the model itself."""
_LOG2_DRAWS: Final = 11

_Draws: TypeAlias = NDArray[np.float64]


class Calibration(Result):
    """How a judge did on human-labelled replies of one model, in one mode."""

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


Measured: TypeAlias = Calibration | Sequence[Calibration]
"""A judge as measured: on the evaluated model itself, or one by one on several others."""

_Hashable: TypeAlias = Calibration | tuple[Calibration, ...]
"""The same as a key: the check of a card asks for its figures again."""


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


def corrected_rate(k: int, n: int, measured: Measured, level: float = 0.95) -> CorrectedRate:
    """The rate k / n corrected for the judge's errors.

    Args:
        k: Samples that the judge called positive.
        n: Judged samples.
        measured: The judge on human-labelled replies of the same mode: of the evaluated model, or of others.
        level: Confidence, a fraction.

    Raises:
        RimError: If the judge is too near to guessing, fewer than three other models were measured,
            or the counts do not fit.
    """
    if not 0 <= k <= n or n == 0:
        raise RimError(f"k={k!r}, n={n!r}: needs 0 <= k <= n and n above 0.")
    return _corrected_rate(k, n, _hashable(measured), level)


@lru_cache(maxsize=256)
def _corrected_rate(k: int, n: int, measured: _Hashable, level: float) -> CorrectedRate:
    from scipy.special import betaincinv

    points = _sobol(3)
    judge = _Judge.of(measured, points[:2])
    value = judge.corrected(k / n)
    lower, upper = _middle(*judge.bounds(betaincinv(k + 0.5, n - k + 0.5, points[2])), level)
    return CorrectedRate(
        raw=k / n,
        value=value,
        lower=min(value, lower),
        upper=max(value, upper),
        level=level,
        n=n,
    )


def corrected_difference(
    pairs: PairCounts, target: Measured, reference: Measured | None = None, level: float = 0.95
) -> CorrectedDifference:
    """Target minus reference corrected for the judge's errors in each arm.

    Args:
        pairs: Counts of pairs by their two verdicts.
        target: The judge on labelled replies of the target's mode.
        reference: The same for the reference's mode; None uses the target's for both.
        level: Confidence, a fraction.

    Raises:
        RimError: If the judge is too near to guessing in either mode, fewer than three other models
            were measured, or there are no pairs.
    """
    n = sum(pairs)
    if n == 0 or min(pairs) < 0:
        raise RimError(f"pairs={tuple(pairs)!r}: needs counts of 0 or more, and at least one pair.")
    return _corrected_difference(
        pairs, _hashable(target), None if reference is None else _hashable(reference), level
    )


@lru_cache(maxsize=256)
def _corrected_difference(
    pairs: PairCounts, target: _Hashable, reference: _Hashable | None, level: float
) -> CorrectedDifference:
    from scipy.special import gammaincinv

    n = sum(pairs)
    points = _sobol(8)
    # Each draw stands beside its mirror, so that turning the arms turns the interval exactly.
    judges = [0, 1, 2, 3] if reference is None else [2, 3, 0, 1]
    points = np.hstack([points, points[[*judges, 4, 6, 5, 7]]])
    first = _Judge.of(target, points[:2])
    second = first if reference is None else _Judge.of(reference, points[2:4])
    gamma = [gammaincinv(count + 1, row) for count, row in zip(pairs, points[4:], strict=True)]
    high, low = (gamma[0] + gamma[1]) / sum(gamma), (gamma[0] + gamma[2]) / sum(gamma)
    (first_low, first_high), (second_low, second_high) = first.bounds(high), second.bounds(low)
    lower, upper = _middle(first_low - second_high, first_high - second_low, level)
    k, other_k = pairs.both + pairs.target_only, pairs.both + pairs.reference_only
    difference = first.corrected(k / n) - second.corrected(other_k / n)
    return CorrectedDifference(
        raw=100 * (k - other_k) / n,
        difference=100 * difference,
        lower=100 * min(difference, lower),
        upper=100 * max(difference, upper),
        level=level,
        n_pairs=n,
        shared_calibration=reference is None,
    )


def judge_shares(measured: Measured, level: float = 0.95) -> tuple[Estimate, Estimate]:
    """A judge's sensitivity and specificity on the evaluated model, each from 0 to 1.

    Args:
        measured: The judge on human-labelled replies of that model, or of others: then the ends hold that share
            of further models.
        level: Share within the ends, a fraction.

    Raises:
        RimError: Fewer than three other models were measured.
    """
    z_score(level)
    tails = np.array([0.5 - level / 2, 0.5 + level / 2])
    first, second = (
        Estimate(middle, min(middle, float(lower)), max(middle, float(upper)))
        for middle, (lower, upper) in (
            (share.middle, share.quantiles(tails)) for share in _shares(measured)
        )
    )
    return first, second


def _hashable(measured: Measured) -> _Hashable:
    return measured if isinstance(measured, Calibration) else tuple(measured)


class _Judge(NamedTuple):
    """A judge's sensitivity and specificity: the middle of each, and draws of them."""

    sensitivity: float
    specificity: float
    sensitivities: _Draws
    specificities: _Draws

    @classmethod
    def of(cls, measured: Measured, points: _Draws) -> "_Judge":
        """The judge as measured, with one draw for each pair of points; rejected near to guessing."""
        shares = _shares(measured)
        draws = [share.quantiles(row) for share, row in zip(shares, points, strict=True)]
        judge = cls(shares[0].middle, shares[1].middle, draws[0], draws[1])
        judge.reject_guessing(shares)
        return judge

    def reject_guessing(self, shares: Sequence["_Share"]) -> None:
        """Raise when the judge may be no better than guessing."""
        guessing = np.mean(self.sensitivities + self.specificities - 1 <= LEAST_YOUDEN)
        m = shares[0].models
        # Of other models only the middle decides: to leave out those with a wide spread would keep, among
        # the measured, those that happen to look alike, and their intervals miss too often.
        if guessing > (_MOST_GUESSING if m == 1 else 0.5):
            raise RimError(
                f"sensitivity {self.sensitivity:.2f} and specificity {self.specificity:.2f} (n = {shares[0].n} "
                f"positives and {shares[1].n} negatives of {m} model{'s' * (m != 1)}) leave a chance of "
                f"{guessing:.0%} that they add up to {1 + LEAST_YOUDEN} or less: such a judge cannot be told "
                "from guessing, and dividing by what is left would invent figures. Use a better judge, "
                "or more labelled replies or models"
            )

    def corrected(self, rate: float) -> float:
        """The true rate behind an observed one, from 0 to 1."""
        youden = self.sensitivity + self.specificity - 1
        return min(1.0, max(0.0, (rate + self.specificity - 1) / youden))

    def bounds(self, rates: _Draws) -> tuple[_Draws, _Draws]:
        """The lowest and the highest true rate behind each drawn rate."""
        youden = self.sensitivities + self.specificities - 1
        is_guess = youden <= LEAST_YOUDEN
        true = np.clip((rates + self.specificities - 1) / np.where(is_guess, 1, youden), 0, 1)
        too_low = rates < np.minimum(self.sensitivities, 1 - self.specificities)
        too_high = rates > np.maximum(self.sensitivities, 1 - self.specificities)
        lowest = np.where(too_low | is_guess, 0, true)
        highest = np.where(too_high | is_guess, 1, true)
        return np.where(too_high, rates, lowest), np.where(too_low, rates, highest)


class _Share(NamedTuple):
    """How a sensitivity or specificity is distributed."""

    middle: float
    quantiles: Callable[[_Draws], _Draws]
    n: int
    """Labelled replies behind it."""
    models: int


def _shares(measured: Measured) -> tuple[_Share, _Share]:
    """Sensitivity and specificity on the evaluated model."""
    own = isinstance(measured, Calibration)
    each = [measured] if isinstance(measured, Calibration) else measured
    first, second = (
        _own_share(*counts[0]) if own else _further_share(counts)
        for counts in (
            [(one.true_positives, one.positives) for one in each],
            [(one.true_negatives, one.negatives) for one in each],
        )
    )
    return first, second


def _own_share(k: int, n: int) -> _Share:
    from scipy.special import betaincinv

    return _Share(k / n, lambda points: betaincinv(k + 0.5, n - k + 0.5, points), n, 1)


def _further_share(counts: Sequence[tuple[int, int]]) -> _Share:
    """On a model that was not measured."""
    from scipy.special import expit, stdtrit

    m = len(counts)
    if m < LEAST_MODELS:
        raise RimError(
            f"the judge was measured on {m} other model{'s' * (m != 1)}, and how much it varies between models needs "
            f"{LEAST_MODELS}. Measure it on replies of the evaluated model, or of more models"
        )
    yes, no = np.array([(k + 0.5, n - k + 0.5) for k, n in counts]).T
    logits = np.log(yes / no)
    centre = float(logits.mean())
    variance = max(float(logits.var(ddof=1)), float(np.mean(1 / yes + 1 / no)))
    spread = math.sqrt(variance * (1 + 1 / m))

    def quantiles(points: _Draws) -> _Draws:
        return np.asarray(expit(centre + spread * stdtrit(m - 1, points)))

    return _Share(float(expit(centre)), quantiles, sum(n for _, n in counts), m)


def _middle(low: _Draws, high: _Draws, level: float) -> tuple[float, float]:
    z_score(level)
    return float(np.quantile(low, 0.5 - level / 2)), float(np.quantile(high, 0.5 + level / 2))


@cache
def _sobol(dimensions: int) -> _Draws:
    """Points that fill the unit cube evenly, one row a dimension; never 0 or 1."""
    from scipy.stats import qmc

    points = qmc.Sobol(dimensions, scramble=False).random_base2(_LOG2_DRAWS)
    return np.asarray((points + 0.5 / len(points)).T)
