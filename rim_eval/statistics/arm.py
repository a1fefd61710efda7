"""One arm in figures: its rate, how sure it is, what is missing and what that could change."""

import math

import numpy as np

from rim_eval.statistics._result import Figure, Interval, Result
from rim_eval.statistics.bounded_mean import bounded_share_interval
from rim_eval.statistics.by_prompt import INTERVAL_METHOD
from rim_eval.statistics.verdicts import (
    Tally,
    Verdicts,
    check_verdicts,
    mean_over_prompts,
    mean_verdict,
    rate_bounds,
    scored,
    single_epoch,
    tally,
)
from rim_eval.statistics.wilson import wilson_interval


class ArmSummary(Result):
    """The rate of one arm, as fractions from 0 to 1."""

    value: Figure
    """Mean over prompts of the prompt's mean scored verdict; NaN when nothing is scored."""
    lower: Figure
    upper: Figure
    level: float
    method: str
    """How the interval was made: `Wilson`, or the score interval of the mean by prompt."""
    n_prompts: int
    """Prompts asked."""
    n_prompts_scored: int
    """Prompts with at least one scored epoch: what the rate is a mean over."""
    n_scored: int
    """Scored samples (prompts times epochs, less the unscored)."""
    n_unscored: int
    """Unscored samples; a prompt without any sample counts as one."""
    epochs: int
    """The most epochs that any prompt has."""
    bound_lower: Figure
    """The rate over all prompts if every unscored verdict were 0."""
    bound_upper: Figure
    """The rate over all prompts if every unscored verdict were 1."""


def arm_summary(verdicts: Verdicts, level: float = 0.95) -> ArmSummary:
    """Rate, interval, counts and bounds of one arm.

    With one verdict a prompt, each 0 or 1, the interval is Wilson's; with several it is the score interval of
    the mean by prompt (`bounded_mean`), because the epochs of one prompt are not independent.

    Args:
        verdicts: Prompt id to verdicts by epoch, 0..1 or None when unscored.
        level: Confidence, a fraction.

    Raises:
        RimError: If a verdict is not in 0..1, or the level is not in (0, 1).
    """
    check_verdicts(verdicts, "verdicts")
    return tallied_arm_summary(tally(verdicts), level)


def tallied_arm_summary(prompts: Tally, level: float = 0.95) -> ArmSummary:
    """`arm_summary` of prompts that are counted by their verdicts.

    Args:
        prompts: One arm; its verdicts are in 0..1.
        level: Confidence, a fraction.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    means = [
        (mean, n) for (epochs,), n in prompts.items() if (mean := mean_verdict(epochs)) is not None
    ]
    n_scored_prompts = sum(n for _, n in means)
    value = mean_over_prompts(means)
    by_prompt = np.repeat([mean for mean, _ in means], np.array([n for _, n in means], dtype=int))
    interval, method = Interval(math.nan, math.nan), "none: nothing is scored"
    if means and single_epoch(epochs for (epochs,) in prompts):
        events = math.fsum(by_prompt)
        interval, method = wilson_interval(events, n_scored_prompts, level), "Wilson"
    elif means:
        interval, method = bounded_share_interval(by_prompt, level=level), INTERVAL_METHOD
    bounds = rate_bounds(prompts)
    n_scored = sum(n * len(scored(epochs)) for (epochs,), n in prompts.items())
    return ArmSummary(
        value=value,
        lower=interval.lower,
        upper=interval.upper,
        level=level,
        method=method,
        n_prompts=sum(prompts.values()),
        n_prompts_scored=n_scored_prompts,
        n_scored=n_scored,
        n_unscored=sum(n * max(len(epochs), 1) for (epochs,), n in prompts.items()) - n_scored,
        epochs=max((len(epochs) for (epochs,) in prompts), default=0),
        bound_lower=bounds.lower,
        bound_upper=bounds.upper,
    )
