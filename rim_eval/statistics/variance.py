"""Variance split: how much of a paired difference's uncertainty comes from the prompts, how much from sampling.

With k epochs a prompt and mode, the mean difference over n prompts has the variance

    (prompt variance + sampling variance / k) / n.

Sampling variance: how far the epochs of one prompt lie apart within a mode, summed over both modes. Prompt variance: how far
prompts would still lie apart in their difference with endless epochs. More epochs lower only the sampling part; more
prompts lower both.

Estimator (one-way analysis of variance): within each arm the squared deviations from the prompt's mean over their degrees of
freedom; the prompt variance is what the observed variance of the differences has above the sampling part, and 0 where it has
less. Where prompts have different k, 1 / k is averaged over them; that takes the number of epochs as unrelated to how
variable a prompt is.

Source: S. R. Searle, G. Casella, C. E. McCulloch, Variance Components (1992), chapter 3; E. Miller, Adding Error Bars to
Evals (arXiv 2411.00640), section 3, for the use on evaluations.
"""

import math
from typing import NamedTuple

import numpy as np

from rim_eval.statistics._result import Figure, Result
from rim_eval.statistics.verdicts import (
    Epochs,
    Tally,
    scored,
)


class VarianceSplit(Result):
    """Where the uncertainty of a paired difference comes from, in percentage points."""

    n: int
    """Prompts that are scored in both modes."""
    epochs: float
    """Scored epochs a prompt and mode; the harmonic mean where they differ."""
    prompt_variance: float
    """Variance of the prompts' differences beyond sampling, squared points; 0 where none is seen."""
    sampling_variance: float
    """Variance of a prompt's difference from sampling, with one epoch in each mode, squared points."""
    sampling_share: Figure
    """Share of the standard error's square that is due to sampling, 0..1; NaN when nothing varies."""
    standard_error: float
    """Of the mean difference, points. Where the prompt variance was cut at 0, that of sampling alone."""
    standard_error_twice_prompts: float
    """What it would be with twice the prompts, points."""
    standard_error_twice_epochs: float
    """What it would be with twice the epochs, points."""


class _Arm(NamedTuple):
    """Sampling in one arm; verdicts are fractions."""

    variance: float
    """Of one epoch around its prompt's mean."""
    inverse_epochs: float
    """Mean of 1 / k over the prompts."""


def tallied_variance_split(prompts: Tally) -> VarianceSplit | None:
    """Split the variance of target minus reference over the prompts that both arms scored.

    Args:
        prompts: Two arms, the target and the reference, counted by their verdicts from 0 to 1.

    Returns:
        The split; None where an arm has no prompt with two scored epochs, or fewer than two prompts are pairs.
    """
    pairs = {arms: n for arms, n in prompts.items() if all(map(scored, arms))}
    target = _arm([(arms[0], n) for arms, n in pairs.items()])
    reference = _arm([(arms[1], n) for arms, n in pairs.items()])
    n = sum(pairs.values())
    if n < 2 or target is None or reference is None:
        return None
    changes = [float(np.mean(scored(high)) - np.mean(scored(low))) for high, low in pairs]
    observed = 1e4 * float(np.var(np.repeat(changes, list(pairs.values())), ddof=1))
    sampling = 1e4 * sum(arm.variance * arm.inverse_epochs for arm in (target, reference))
    between = max(0.0, observed - sampling)
    total = between + sampling
    return VarianceSplit(
        n=n,
        epochs=2 / (target.inverse_epochs + reference.inverse_epochs),
        prompt_variance=between,
        sampling_variance=1e4 * (target.variance + reference.variance),
        sampling_share=sampling / total if total else math.nan,
        standard_error=math.sqrt(total / n),
        standard_error_twice_prompts=math.sqrt(total / (2 * n)),
        standard_error_twice_epochs=math.sqrt((between + sampling / 2) / n),
    )


def _arm(prompts: list[tuple[Epochs, int]]) -> _Arm | None:
    """Sampling in one arm; None where no prompt has two scored epochs."""
    verdicts = [(np.array(scored(epochs)), n) for epochs, n in prompts]
    freedom = sum(n * (len(each) - 1) for each, n in verdicts)
    if not freedom:
        return None
    squares = sum(n * float(np.sum((each - each.mean()) ** 2)) for each, n in verdicts)
    inverse = sum(n / len(each) for each, n in verdicts) / sum(n for _, n in verdicts)
    return _Arm(squares / freedom, inverse)
