"""The paired trend: how much a rate rises over ordered arms, prompt by prompt.

The arms are doses of thinking, or the checkpoints of one training run, from the smallest to the largest. A *block* is a
prompt with at least one scored epoch in every arm. With the arms' scores x rescaled to 0..1, a block's slope is that of the
least-squares line through its mean verdicts y over the arms,

    slope = sum of w y,   w = (x - mean x) / sum of (x - mean x)^2,

and the trend is the mean slope over the blocks, in percentage points from the smallest to the largest arm along the
line: above 0 means that the rate rises. Prompts that are no block are listed, and bound the trend both ways.

With two arms the trend *is* the paired difference, and is computed as one (`paired`). With three equally spaced arms the
middle one has the weight 0: the trend is the difference of the outer two.

Scores: ranks by default, so that the arms are equally spaced. Tokens spent are an outcome of the arm and differ from prompt
to prompt; a line over them would compare prompts on which a model thinks long with those on which it thinks little, which
is what pairing is there to avoid. Plot them, and test over the doses that were *set*. A caller may give increasing
scores that were fixed before the run, such as training steps.

Interval: the score interval for the mean slope (`bounded_mean`). Prompts are the units, so epochs and arms of one prompt
never pass for independent, and no model of how a prompt's arms depend on each other is assumed. In simulation it covers 94 to
97 % from 30 to 300 prompts, and 93 to 100 % where events are rare or epochs several: more than it says and then wide below 100
prompts, where the percentile bootstrap falls to 84 % (`benchmarks/reports/trend_coverage.md`, `trend_coverage_hard.md`).

Test: the score test of that mean, which rejects exactly where the interval leaves zero out. Permutation test beside it: if the order of the arms does not matter within a prompt, the reversed order is as likely. With equally spaced scores
(or others that are symmetric) reversal turns the slope's sign, so the sign-flip permutation by prompt is valid, under the
weaker null that only the reversed order is as likely. With other scores it does not, and the verdicts of each prompt are
permuted over the arms. Neither sees a rate that rises and falls again in a symmetric way: look at the arms' rates.

Sources: E. B. Page, JASA 58 (1963) 216-230 (ordered alternatives with blocks, over ranks); P. Armitage, Biometrics 11 (1955)
375-386 (linear trend in proportions over given scores), here within blocks.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result, z_score
from rim_eval.statistics.arm import ArmSummary, tallied_arm_summary
from rim_eval.statistics.by_prompt import by_prompt, nothing
from rim_eval.statistics.paired import tallied_difference
from rim_eval.statistics.paired_tests import order_permutation_test
from rim_eval.statistics.verdicts import (
    Epochs,
    Tally,
    Verdicts,
    check_verdicts,
    contrast_bounds,
    mean_over_prompts,
    mean_verdict,
    prompt_means,
    scored,
    tally,
)

_SHARED: Final = {
    *("lower", "upper", "interval_method", "p_value", "test_method"),
    *("permutation_p_value", "permutation_method"),
}
"""Fields that a trend over two arms has from their paired difference."""


class Trend(Result):
    """A linear trend over ordered arms on the same prompts, in percentage points."""

    trend: Figure
    """From the smallest to the largest arm along the line, percentage points; NaN without blocks."""
    lower: Figure
    upper: Figure
    level: float
    interval_method: str
    p_value: Figure
    """Two-sided, for no trend; it belongs to the interval."""
    test_method: str
    permutation_p_value: Figure
    """The same of a permutation test, which decides nothing."""
    permutation_method: str
    arms: tuple[str, ...]
    """Names, from the smallest to the largest."""
    scores: tuple[float, ...]
    """Where each arm stands, from 0 (smallest) to 1 (largest)."""
    rates: tuple[ArmSummary, ...]
    """Each arm's rate over the blocks, a fraction, with its interval."""
    n_blocks: int
    """Prompts that are scored in every arm."""
    n_prompts: int
    """Prompts that occur in any arm."""
    unpaired: tuple[str, ...]
    """Ids of the prompts that are no block, sorted; empty where nobody named them: their count is `n_prompts - n_blocks`."""
    bound_lower: Figure
    """Over all prompts, if everything unscored had gone against a rise; points."""
    bound_upper: Figure
    """Over all prompts, if everything unscored had gone for a rise; points."""


def paired_trend(
    arms: Mapping[str, Verdicts],
    *,
    scores: Sequence[float] | None = None,
    level: float = 0.95,
    seed: int = 0,
) -> Trend:
    """Trend over the prompts that every arm scored.

    Args:
        arms: Name to verdicts, from the smallest to the largest arm; two or more. Verdicts are prompt id to 0..1, or
            None when unscored, by epoch.
        scores: Increasing numbers, one an arm, fixed before the run; None for equal steps.
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw.

    Raises:
        RimError: If there are fewer than two arms, a verdict is not in 0..1, the scores do not increase, or the level is
            not in (0, 1).
    """
    for name, verdicts in arms.items():
        check_verdicts(verdicts, name)
    asked = set[str]().union(*arms.values())
    blocks = asked.intersection(*map(prompt_means, arms.values()))
    return tallied_trend(
        tally(*arms.values()),
        tuple(arms),
        scores=scores,
        level=level,
        seed=seed,
        unpaired=tuple(sorted(asked - blocks)),
    )


def tallied_trend(
    prompts: Tally,
    arms: Sequence[str],
    *,
    scores: Sequence[float] | None = None,
    level: float = 0.95,
    seed: int = 0,
    unpaired: tuple[str, ...] = (),
) -> Trend:
    """`paired_trend` of prompts that are counted by their verdicts.

    Args:
        prompts: Two or more arms, from the smallest to the largest; their verdicts are in 0..1.
        arms: Their names, in the same order.
        scores: Increasing numbers, one an arm; None for equal steps.
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw.
        unpaired: Ids of the prompts that are no block, where they are known.

    Raises:
        RimError: If there are fewer than two arms, the scores do not increase, or the level is not in (0, 1).
    """
    z_score(level)
    positions = _positions(arms, scores)
    weights = slope_weights(positions)
    blocks = {verdicts: n for verdicts, n in prompts.items() if all(map(scored, verdicts))}
    bounds = contrast_bounds(prompts, weights)
    estimate = (
        _difference(blocks, arms, level, seed)
        if len(arms) == 2
        else _mean_slope(blocks, weights, level, seed)
    )
    return Trend(
        **estimate,
        level=level,
        arms=tuple(arms),
        scores=positions,
        rates=tuple(tallied_arm_summary(_arm(blocks, index), level) for index in range(len(arms))),
        n_blocks=sum(blocks.values()),
        n_prompts=sum(prompts.values()),
        unpaired=unpaired,
        bound_lower=100 * bounds.lower,
        bound_upper=100 * bounds.upper,
    )


def slope_weights(positions: Sequence[float]) -> tuple[float, ...]:
    """Weights of the arms in the least-squares slope; they add up to 0.

    Args:
        positions: Increasing, one an arm, two or more.
    """
    middle = math.fsum(positions) / len(positions)
    spread = math.fsum((position - middle) ** 2 for position in positions)
    return tuple((position - middle) / spread for position in positions)


def _positions(arms: Sequence[str], scores: Sequence[float] | None) -> tuple[float, ...]:
    """Scores rescaled to 0..1."""
    if len(arms) < 2:
        raise RimError(
            f"{len(arms)} arm(s) given ({', '.join(arms) or 'none'}): a trend needs at least two, from the smallest to the largest."
        )
    numbers = tuple(range(len(arms))) if scores is None else tuple(scores)
    rising = all(low < high for low, high in pairwise(numbers))
    if len(numbers) != len(arms) or not rising or not all(map(math.isfinite, numbers)):
        raise RimError(
            f"scores={list(numbers)}: give {len(arms)} increasing finite numbers, one an arm in the order "
            f"{', '.join(arms)}, or leave them out for equal steps."
        )
    return tuple((number - numbers[0]) / (numbers[-1] - numbers[0]) for number in numbers)


def _arm(blocks: Tally, index: int) -> Counter[tuple[Epochs, ...]]:
    """One arm of the blocks."""
    arm = Counter[tuple[Epochs, ...]]()
    for verdicts, n in blocks.items():
        arm[(verdicts[index],)] += n
    return arm


def _difference(blocks: Tally, arms: Sequence[str], level: float, seed: int) -> dict[str, Any]:
    """The paired difference of the second arm from the first."""
    found = tallied_difference(
        {(second, first): n for (first, second), n in blocks.items()},
        target_name=arms[1],
        reference_name=arms[0],
        level=level,
        seed=seed,
    )
    return {"trend": found.difference, **found.model_dump(include=_SHARED)}


def _mean_slope(
    blocks: Tally, weights: tuple[float, ...], level: float, seed: int
) -> dict[str, Any]:
    """Mean slope over the blocks, with interval and test."""
    if not blocks:
        none = nothing("no prompt is scored in every arm").tests
        return {"trend": math.nan, "lower": math.nan, "upper": math.nan, **none}
    # Sorted, so that a random test does not depend on the prompts' names.
    means = sorted((tuple(map(_mean, verdicts)), n) for verdicts, n in blocks.items())
    slopes = [
        (math.fsum(w * y for w, y in zip(weights, block, strict=True)), n) for block, n in means
    ]
    counts = [n for _, n in means]
    values = np.repeat([slope for slope, _ in slopes], counts)
    reach = math.fsum(weight for weight in weights if weight > 0)
    found = by_prompt(values, reach=reach, level=level, seed=seed)
    if not _is_symmetric(weights):
        every = np.repeat(np.array([block for block, _ in means]), counts, axis=0)
        found = found._replace(
            permutation_p_value=order_permutation_test(every, weights, seed=seed),
            permutation_method=f"permutation of the arms by prompt (random, seed {seed})",
        )
    ends = {"lower": 100 * found.interval.lower, "upper": 100 * found.interval.upper}
    return {"trend": 100 * mean_over_prompts(slopes), **ends, **found.tests}


def _mean(epochs: Epochs) -> float:
    mean = mean_verdict(epochs)
    assert mean is not None  # a block is scored in every arm
    return mean


def _is_symmetric(weights: tuple[float, ...]) -> bool:
    """Whether reversing the arms turns the slope's sign, which is what flipping signs stands for."""
    return all(abs(w + v) < 1e-9 for w, v in zip(weights, reversed(weights), strict=True))
