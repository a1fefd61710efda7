"""The paired difference: how much higher a rate is in one arm than in another, prompt by prompt.

A *pair* is a prompt with at least one scored epoch in each arm. The difference is the mean over
pairs of (mean verdict in the target arm - mean verdict in the reference arm), in percentage
points: above 0 means the target arm's rate is higher.

With one verdict a prompt (0 or 1) in each arm the interval is Tango's with McNemar's score test; otherwise both are those of
a bounded mean, one value a prompt (`by_prompt`). Interval and test are one rule: the test rejects no difference exactly where
the interval leaves zero out. A permutation test stands beside it: McNemar's exact one, or sign flips by prompt. Prompts that
are no pair are listed, and bound the difference both ways.
"""

import math

import numpy as np

from rim_eval.formatting import figure_text
from rim_eval.statistics._result import Figure, Result, z_score
from rim_eval.statistics.by_prompt import by_prompt, nothing
from rim_eval.statistics.verdicts import (
    Tally,
    Verdicts,
    check_verdicts,
    difference_bounds,
    mean_over_prompts,
    mean_verdict,
    prompt_means,
    tally,
)


class PairedDifference(Result):
    """A difference of two arms over the same prompts, in percentage points."""

    target: str
    """The arm whose rate is asked about, such as `think`."""
    reference: str
    """The arm it is compared with, such as `no_think`."""
    difference: Figure
    """Target minus reference, percentage points from -100 to 100; NaN without pairs."""
    lower: Figure
    upper: Figure
    level: float
    interval_method: str
    p_value: Figure
    """Two-sided, for no difference; at most 1 - level exactly where the interval leaves zero out: it decides."""
    test_method: str
    permutation_p_value: Figure = math.nan
    """The same of a permutation test, which needs no approximation; it decides nothing."""
    permutation_method: str = "none"
    target_rate: Figure
    """The target arm's rate over the pairs, a fraction."""
    reference_rate: Figure
    """The reference arm's rate over the pairs, a fraction."""
    n_pairs: int
    n_prompts: int
    """Prompts that occur in either arm."""
    b: int
    """Pairs whose mean verdict is higher in the target arm."""
    c: int
    """Pairs whose mean verdict is higher in the reference arm."""
    unpaired: tuple[str, ...]
    """Ids of the prompts that are no pair, sorted; empty where nobody named them: their count is `n_prompts - n_pairs`."""
    bound_lower: Figure
    """Over all prompts, if everything unscored had gone against the target being higher; points."""
    bound_upper: Figure
    """Over all prompts, if everything unscored had gone for the target being higher; points."""

    @property
    def text(self) -> str:
        """The difference inside a sentence, with its interval and n."""
        ends = self.difference, self.lower, self.upper
        return figure_text(*ends, f"{self.n_pairs} pairs", level=self.level)


def paired_difference(
    target: Verdicts,
    reference: Verdicts,
    *,
    target_name: str,
    reference_name: str,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Target minus reference over the prompts that both arms scored.

    Args:
        target: Prompt id to verdicts by epoch, 0..1 or None when unscored.
        reference: The same for the arm that is compared with.
        target_name: What the target arm is, for the record.
        reference_name: What the reference is; a difference without a named one means nothing.
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw (several epochs, many values).

    Raises:
        RimError: If a verdict is not in 0..1, or the level is not in (0, 1).
    """
    check_verdicts(target, target_name)
    check_verdicts(reference, reference_name)
    in_both = prompt_means(target).keys() & prompt_means(reference)
    return tallied_difference(
        tally(target, reference),
        target_name=target_name,
        reference_name=reference_name,
        level=level,
        seed=seed,
        unpaired=tuple(sorted((target.keys() | reference) - in_both)),
    )


def tallied_difference(
    prompts: Tally,
    *,
    target_name: str,
    reference_name: str,
    level: float = 0.95,
    seed: int = 0,
    unpaired: tuple[str, ...] = (),
) -> PairedDifference:
    """`paired_difference` of prompts that are counted by their verdicts.

    Args:
        prompts: Two arms, the target and the reference; their verdicts are in 0..1.
        target_name: What the target arm is, for the record.
        reference_name: What the reference is.
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw.
        unpaired: Ids of the prompts that are no pair, where they are known.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    z_score(level)
    pairs = [
        (high, low, n)
        for (target, reference), n in prompts.items()
        if (high := mean_verdict(target)) is not None
        and (low := mean_verdict(reference)) is not None
    ]
    n_pairs, n_prompts = sum(n for *_, n in pairs), sum(prompts.values())
    b = sum(n for high, low, n in pairs if high > low)
    c = sum(n for high, low, n in pairs if high < low)
    found = nothing("no prompt is scored in both arms")
    if pairs:
        changes = np.repeat([high - low for high, low, _ in pairs], [n for *_, n in pairs])
        found = by_prompt(changes, reach=1.0, level=level, seed=seed)
    bounds = difference_bounds(prompts)
    return PairedDifference(
        target=target_name,
        reference=reference_name,
        difference=100 * mean_over_prompts([(high - low, n) for high, low, n in pairs]),
        lower=100 * found.interval.lower,
        upper=100 * found.interval.upper,
        level=level,
        **found.tests,
        target_rate=mean_over_prompts([(high, n) for high, _, n in pairs]),
        reference_rate=mean_over_prompts([(low, n) for _, low, n in pairs]),
        n_pairs=n_pairs,
        n_prompts=n_prompts,
        b=b,
        c=c,
        unpaired=unpaired,
        bound_lower=100 * bounds.lower,
        bound_upper=100 * bounds.upper,
    )
