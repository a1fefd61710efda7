"""Transport audit: does the judge err alike in both modes, so that one correction may serve both?

From the labels of the run, by stratum, each mode has the judge's share of false positives FPR among the negatives and of false
negatives FNR among the positives. With pi the mean of both true rates, the RIM score owes

    delta = (FPR_target - FPR_reference) (1 - pi) - (FNR_target - FNR_reference) pi

to errors that differ between the modes. A judge that errs alike shrinks a difference and invents none: it has delta = 0. As the
raw rate is pi + FPR (1 - pi) - FNR pi in each mode, delta is the same as

    delta = raw difference - J x corrected difference,   J = 1 - mean FPR - mean FNR over the two modes,

which is a weighted sum of stratum shares: its interval is the stratified score interval, with J at its estimate. The audit passes
when the interval lies within -margin..margin (a test of equivalence), fails when it lies elsewhere and excludes 0, and cannot
tell otherwise. J is taken as known and strata hold few labels: a fair judge fails in 2 to 8 % of simulated runs at a level of 95 %
(`benchmarks/label_correction.py`). Error rates that differ and cancel out at this mix of prompts pass: they move the rates and not
their difference. Look at both modes' sensitivity and specificity beside it.

The *shared* correction takes one sensitivity Se and one specificity Sp for both modes, from the labels of both weighted by their
strata. By Rogan and Gladen's equation, pi = (p + Sp - 1) / (Se + Sp - 1), the difference is the raw one over Se + Sp - 1. It holds only where the judge errs alike: it rests on the audit. In simulation
its interval covers a fair judge's difference a little less often than it says.

Intervals of Se, Sp and the shared difference recover their variance from the intervals of what they are computed from, one end at a time (MOVER):
with f increasing in a and decreasing in b, the lower end is f - sqrt((f - f(a_lower, b))^2 + (f - f(a, b_upper))^2).

Sources: W. J. Rogan and B. Gladen, Am. J. Epidemiology 107 (1978) 71-76; D. J. Schuirmann, J. Pharmacokinetics and
Biopharmaceutics 15 (1987) 657-680 (equivalence); G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693-1702 (MOVER).
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from rim_eval.errors import RimError
from rim_eval.formatting import interval, points
from rim_eval.statistics._result import Figure, Result
from rim_eval.statistics.bounded_mean import bounded_mean_interval
from rim_eval.statistics.judge_error import LEAST_YOUDEN
from rim_eval.statistics.prediction_powered import (
    DrawnSample,
    LabelStratum,
    StratifiedPrompts,
    drawn_sample,
)
from rim_eval.statistics.stratified_score import (
    Numbers,
    StratifiedSample,
    stratified_score_interval,
)
from rim_eval.statistics.wilson import Estimate

AuditOutcome: TypeAlias = Literal["pass", "fail", "cannot tell"]

DEFAULT_MARGIN: Final = 15.0
"""Points. In the benchmark, with 80 labels, a fair judge passes in 51 to 82 % of runs (sensitivity 0.9, specificity 0.95; 80 to
95 % at 0.95 and 0.98), and one whose errors add 15 points in 3 to 4 %."""
_BOTH: Final = (1.0, -1.0)
_NOTHING: Final = 1e-300
"""In place of a denominator of 0."""


class JudgeRates(Result):
    """The judge's sensitivity and specificity in one mode by the labels, fractions; NaN without such replies."""

    mode: str
    sensitivity: Figure
    sensitivity_lower: Figure
    sensitivity_upper: Figure
    specificity: Figure
    specificity_lower: Figure
    specificity_upper: Figure


class TransportAudit(Result):
    """Whether the judge errs alike in both modes."""

    outcome: AuditOutcome
    value: Figure
    """What the RIM score owes to errors that differ between the modes; percentage points."""
    lower: Figure
    upper: Figure
    level: float
    margin: float
    """Percentage points."""
    labelled: int
    target: JudgeRates
    reference: JudgeRates
    sentence: str


class SharedCorrection(Result):
    """The difference corrected by one sensitivity and specificity for both modes; it rests on the audit."""

    raw: Figure
    """Difference by the judge alone, percentage points."""
    difference: Figure
    """Corrected difference, percentage points."""
    difference_lower: Figure
    difference_upper: Figure
    level: float
    n_pairs: int
    sensitivity: Figure
    specificity: Figure


def transport_audit(
    prompts: StratifiedPrompts,
    strata: Sequence[LabelStratum],
    margin: float = DEFAULT_MARGIN,
    level: float = 0.95,
) -> TransportAudit:
    """Compare the judge's errors between the modes.

    Args:
        prompts: The run's prompts by their strata.
        strata: The strata with their labels.
        margin: How much of the RIM score may rest on errors that differ; percentage points, above 0.
        level: Confidence, a fraction.

    Raises:
        RimError: If the margin is not above 0, a prompt names a stratum that is not there, or there are no labelled pairs.
    """
    if not margin > 0:
        raise RimError(
            f"margin={margin!r}: give percentage points above 0, such as {DEFAULT_MARGIN:g}."
        )
    pairs = drawn_sample(prompts, strata, _BOTH)
    found = Estimate(*(100 * float(end) for end in mode_dependence(pairs.sample, level)))
    outcome = audit_outcome(found, margin)
    target, reference = (_judge_rates(pairs, strata, sign, level) for sign in _BOTH)
    return TransportAudit(
        outcome=outcome,
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        level=level,
        margin=margin,
        labelled=pairs.labelled,
        target=target,
        reference=reference,
        sentence=_sentence(outcome, found, margin),
    )


def mode_dependence(
    sample: StratifiedSample, level: float = 0.95
) -> tuple[Numbers, Numbers, Numbers]:
    """What the difference owes to errors that differ between the modes, and both ends of its interval, as fractions.

    Args:
        sample: The pairs, with the loadings of a difference.
        level: Confidence, a fraction.

    Returns:
        Estimate, lower and upper end, each of the sample's leading shape.
    """
    errors = sum(error for sign in _BOTH for error in _error_rates(sample, sign))
    youden = np.maximum(1 - errors / 2, LEAST_YOUDEN)
    by_judge = sample.loadings @ sample.verdicts
    # Divided by J, so that the loadings are the same in every run.
    turned = sample._replace(known=by_judge / youden[..., None], loadings=-sample.loadings)
    value, lower, upper = stratified_score_interval(turned, level)
    return youden * value, youden * lower, youden * upper


def audit_outcome(found: Estimate, margin: float) -> AuditOutcome:
    """Pass, fail or cannot tell, of an interval and a margin in the same unit."""
    if -margin <= found.lower and found.upper <= margin:
        return "pass"
    return "fail" if found.lower > 0 or found.upper < 0 else "cannot tell"


def shared_correction(
    prompts: StratifiedPrompts, strata: Sequence[LabelStratum], level: float = 0.95
) -> SharedCorrection:
    """The difference over the pairs, corrected by one sensitivity and specificity for both modes.

    Args:
        prompts: The run's prompts by their strata.
        strata: The strata with their labels.
        level: Confidence, a fraction.

    Raises:
        RimError: If the judge cannot be told from guessing, a prompt names a stratum that is not there, or there are no
            labelled pairs.
    """
    pairs = drawn_sample(prompts, strata, _BOTH)
    sensitivity, specificity = _sensitivity_specificity(pairs, _BOTH, level)
    youden = sensitivity.value + specificity.value - 1
    if not youden > LEAST_YOUDEN:
        raise RimError(
            f"Sensitivity {sensitivity.value:.2f} and specificity {specificity.value:.2f} over both modes: such a judge "
            "cannot be told from guessing. Use a better judge, or the prediction-powered figures, which do not divide by it."
        )
    difference = propagate(
        lambda d, se, sp: d / max(se + sp - 1, LEAST_YOUDEN),
        (_by_judge(pairs, level), sensitivity, specificity),
    )
    return SharedCorrection(
        raw=100 * pairs.raw,
        difference=min(100.0, max(-100.0, 100 * difference.value)),
        difference_lower=max(-100.0, 100 * difference.lower),
        difference_upper=min(100.0, 100 * difference.upper),
        level=level,
        n_pairs=pairs.n,
        sensitivity=sensitivity.value,
        specificity=specificity.value,
    )


def propagate(function: Callable[..., float], parts: Sequence[Estimate]) -> Estimate:
    """A function of independent estimates, monotone in each, with the interval that theirs imply (MOVER).

    Args:
        function: Takes one number a part.
        parts: Each with its ends, all at one level.
    """
    middle = [part.value for part in parts]
    value = function(*middle)
    below = above = 0.0
    for i, part in enumerate(parts):
        ends = [function(*middle[:i], end, *middle[i + 1 :]) - value for end in part[1:]]
        below, above = below + min(0.0, *ends) ** 2, above + max(0.0, *ends) ** 2
    return Estimate(value, value - math.sqrt(below), value + math.sqrt(above))


def _by_judge(pairs: DrawnSample, level: float) -> Estimate:
    """The judge's own difference over the pairs, with its interval."""
    values = np.repeat(
        pairs.sample.loadings @ pairs.sample.verdicts, pairs.sample.counts.astype(int)
    )
    return Estimate(float(values.mean()), *bounded_mean_interval(values, reach=1, level=level))


class _Confusion(NamedTuple):
    """Shares of replies by label and verdict, each with its interval."""

    true_positives: Estimate
    false_negatives: Estimate
    true_negatives: Estimate
    false_positives: Estimate


def _confusion(pairs: DrawnSample, signs: Sequence[float], level: float) -> _Confusion:
    """Of the replies in the modes with these signs of their loadings."""
    sample = pairs.sample
    loadings = sum((np.maximum(sign * sample.loadings, 0) for sign in signs), np.zeros(1))

    def share(verdict: bool, label: bool) -> Estimate:
        of_verdict = loadings * (sample.verdicts == verdict)
        known = np.zeros(len(loadings)) if label else of_verdict.sum(axis=1)
        part = sample._replace(known=known, loadings=of_verdict if label else -of_verdict)
        return Estimate(*map(float, stratified_score_interval(part, level)))

    return _Confusion(
        share(True, True), share(False, True), share(False, False), share(True, False)
    )


def _sensitivity_specificity(
    pairs: DrawnSample, signs: Sequence[float], level: float
) -> tuple[Estimate, Estimate]:
    found = _confusion(pairs, signs, level)
    return (
        _part_of(found.true_positives, found.false_negatives),
        _part_of(found.true_negatives, found.false_positives),
    )


def _part_of(first: Estimate, second: Estimate) -> Estimate:
    """The first as a share of both; from 0 to 1 where both are 0."""
    if not first.value + second.value > 0:
        return Estimate(math.nan, 0.0, 1.0)
    # Both lower ends are 0 at the least: rounding may leave less.
    found = propagate(
        lambda a, b: max(a, 0.0) / max(max(a, 0.0) + max(b, 0.0), _NOTHING), (first, second)
    )
    return Estimate(found.value, max(0.0, found.lower), min(1.0, found.upper))


def _error_rates(sample: StratifiedSample, sign: float) -> tuple[Numbers, Numbers]:
    """The judge's false positive and false negative rate in one mode; 0 where there are none to err on."""
    weights = np.maximum(sign * sample.weights, 0)
    positives, negatives = weights * sample.shares, weights * (1 - sample.shares)
    false_positives = (negatives * sample.verdicts).sum(axis=-1)
    false_negatives = (positives * (1 - sample.verdicts)).sum(axis=-1)
    return (
        false_positives / np.maximum(negatives.sum(axis=-1), _NOTHING),
        false_negatives / np.maximum(positives.sum(axis=-1), _NOTHING),
    )


def _judge_rates(
    pairs: DrawnSample, strata: Sequence[LabelStratum], sign: float, level: float
) -> JudgeRates:
    sensitivity, specificity = _sensitivity_specificity(pairs, (sign,), level)
    present = sign * pairs.sample.weights > 0
    return JudgeRates(
        mode=strata[int(np.argmax(present))].mode,
        sensitivity=sensitivity.value,
        sensitivity_lower=sensitivity.lower,
        sensitivity_upper=sensitivity.upper,
        specificity=specificity.value,
        specificity_lower=specificity.lower,
        specificity_upper=specificity.upper,
    )


_VERDICT: Final[dict[AuditOutcome, str]] = {
    "pass": "the judge errs alike in both modes, within {margin:g} points",
    "fail": "the judge errs differently in the two modes: take the prediction-powered figures, not one correction for both",
    "cannot tell": "whether the judge errs alike in both modes cannot be told from these labels: label more replies",
}


def _sentence(outcome: AuditOutcome, found: Estimate, margin: float) -> str:
    return (
        f"Errors that differ between the modes move the difference by {points(found.value)} points "
        f"({interval(found.lower, found.upper)}); {_VERDICT[outcome].format(margin=margin)}."
    )
