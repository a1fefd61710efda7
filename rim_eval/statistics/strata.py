"""Strata: the paired difference per category, and one estimate that respects them.

The stratified estimate is the mean of the strata's differences, each weighted by its share of all
prompts, scored or not: when scoring failed more often in one category, the plain mean over pairs
drifts towards the others, this one does not (Mantel-Haenszel weights for paired data with equal
allocation are these shares). Its interval resamples prompts within each stratum. Ten categories
are too few to treat as clusters: instead, the range of estimates with one stratum left out shows
how much hangs on one of them.

Source: N. Mantel and W. Haenszel, JNCI 22 (1959) 719-748; stratified resampling, Davison and
Hinkley, Bootstrap Methods (1997), section 3.2.
"""

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result
from rim_eval.statistics.bootstrap import RESAMPLES, bootstrap_means
from rim_eval.statistics.paired import PairedDifference, paired_difference
from rim_eval.statistics.verdicts import Verdicts, prompt_means


class StratifiedDifference(Result):
    """A paired difference by stratum and over all strata, in percentage points."""

    strata: dict[str, PairedDifference]
    """The difference within each stratum, by its name, sorted."""
    difference: Figure
    """Weighted over the strata that have a pair; NaN when none has."""
    lower: Figure
    upper: Figure
    level: float
    interval_method: str
    weights: dict[str, float]
    """Each stratum's weight; they sum to 1 over the strata that have a pair."""
    without_pairs: tuple[str, ...]
    """Strata without a pair, which have no weight."""
    left_out_lowest: Figure
    """The lowest estimate with one stratum left out; NaN with fewer than two."""
    left_out_highest: Figure


def stratified_difference(
    target: Verdicts,
    reference: Verdicts,
    strata: Mapping[str, str],
    *,
    target_name: str,
    reference_name: str,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> StratifiedDifference:
    """Target minus reference within and over strata.

    Args:
        target: Prompt id to verdicts by epoch, 0..1 or None when unscored.
        reference: The same for the arm that is compared with.
        strata: Prompt id to its stratum (category, source), for every prompt of either arm.
        target_name: What the target arm is.
        reference_name: What the reference is.
        level: Confidence, a fraction.
        seed: Seed of the resampling.
        resamples: How many resamples.

    Raises:
        RimError: If a prompt has no stratum, or as in `paired_difference`.
    """
    members = _members(target, reference, strata)
    table = {
        name: paired_difference(
            {prompt: target[prompt] for prompt in prompts if prompt in target},
            {prompt: reference[prompt] for prompt in prompts if prompt in reference},
            target_name=target_name,
            reference_name=reference_name,
            level=level,
            seed=seed,
        )
        for name, prompts in members.items()
    }
    sizes = {name: float(found.n_prompts) for name, found in table.items() if found.n_pairs}
    weights = {name: size / sum(sizes.values()) for name, size in sizes.items()}
    means = sum(
        weight
        * bootstrap_means(
            _differences(target, reference, members[name]),
            resamples=resamples,
            seed=(seed, index),
        )
        for index, (name, weight) in enumerate(weights.items())
    )
    tail = (1 - level) / 2
    ends = np.quantile(means, [tail, 1 - tail]) if weights else (math.nan, math.nan)
    left_out = _left_out(table, weights)
    return StratifiedDifference(
        strata=table,
        difference=_weighted(table, weights),
        lower=100 * float(ends[0]),
        upper=100 * float(ends[1]),
        level=level,
        interval_method=f"bootstrap by prompt within strata, {resamples:,} resamples, seed {seed}",
        weights=weights,
        without_pairs=tuple(name for name in table if name not in weights),
        left_out_lowest=min(left_out, default=math.nan),
        left_out_highest=max(left_out, default=math.nan),
    )


def _members(
    target: Verdicts, reference: Verdicts, strata: Mapping[str, str]
) -> dict[str, list[str]]:
    members: dict[str, list[str]] = defaultdict(list)
    for prompt in sorted(target.keys() | reference.keys()):
        if prompt not in strata:
            raise RimError(f"prompt {prompt!r} has no stratum: every prompt needs one.")
        members[strata[prompt]].append(prompt)
    return dict(sorted(members.items()))


def _differences(target: Verdicts, reference: Verdicts, prompts: list[str]) -> list[float]:
    high, low = prompt_means(target), prompt_means(reference)
    return [high[prompt] - low[prompt] for prompt in prompts if prompt in high and prompt in low]


def _weighted(table: Mapping[str, PairedDifference], weights: Mapping[str, float]) -> float:
    total = sum(weights.values())
    if not total:
        return math.nan
    return math.fsum(w * table[name].difference for name, w in weights.items()) / total


def _left_out(table: Mapping[str, PairedDifference], weights: Mapping[str, float]) -> list[float]:
    if len(weights) < 2:
        return []
    return [
        _weighted(table, {name: w for name, w in weights.items() if name != left})
        for left in weights
    ]
