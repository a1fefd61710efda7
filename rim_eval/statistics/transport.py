"""Transport audit: does the judge err alike in both modes?

With FPR and FNR the judge's error rates in each mode and pi the mean of both true rates, the RIM score owes

    (FPR_think - FPR_no_think) (1 - pi) - (FNR_think - FNR_no_think) pi

to errors that differ between the modes.
"""

from collections.abc import Sequence
from typing import Literal

from rim_eval.statistics._result import Figure, Result
from rim_eval.statistics.prediction_powered import (
    LabelStratum,
    StratifiedPrompts,
    powered_difference,
)


class JudgeRates(Result):
    """The judge's sensitivity and specificity in one mode, by the labels; fractions."""

    mode: str
    sensitivity: Figure
    sensitivity_lower: Figure
    sensitivity_upper: Figure
    specificity: Figure
    specificity_lower: Figure
    specificity_upper: Figure


class TransportAudit(Result):
    """Whether the judge errs alike in both modes."""

    outcome: Literal["pass", "fail", "cannot tell"]
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


def transport_audit(
    prompts: StratifiedPrompts,
    strata: Sequence[LabelStratum],
    margin: float = 10.0,
    level: float = 0.95,
) -> TransportAudit:
    """Compare the judge's errors between the modes.

    Args:
        prompts: The run's prompts by their strata.
        strata: The strata with their labels.
        margin: How much of the RIM score may rest on errors that differ; percentage points, above 0.
        level: Confidence, a fraction.
    """
    found = powered_difference(prompts, strata, level)
    value = found.raw - found.value
    lower, upper = found.raw - found.upper, found.raw - found.lower
    inside = -margin <= lower and upper <= margin
    outcome: Literal["pass", "fail", "cannot tell"] = (
        "pass" if inside else "fail" if lower > 0 or upper < 0 else "cannot tell"
    )
    nan = float("nan")
    rates = [
        JudgeRates(
            mode=mode,
            sensitivity=nan,
            sensitivity_lower=nan,
            sensitivity_upper=nan,
            specificity=nan,
            specificity_lower=nan,
            specificity_upper=nan,
        )
        for mode in ("think", "no_think")
    ]
    return TransportAudit(
        outcome=outcome,
        value=value,
        lower=lower,
        upper=upper,
        level=level,
        margin=margin,
        labelled=found.labelled,
        target=rates[0],
        reference=rates[1],
        sentence=f"The judge's errors add {value:+.1f} points [{lower:.1f}, {upper:.1f}] to the RIM score.",
    )
