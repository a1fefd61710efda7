"""The gap: how much a paired difference changes between two settings of the same prompts.

Every prompt has four arms: both modes in the target setting (such as wrapped by an attack) and both in the
reference setting (such as bare). The gap is the difference of the two paired differences over the prompts that are scored in
all four,

    gap = (think - no-think | target setting) - (think - no-think | reference setting),

in percentage points from -200 to 200: above 0 means that thinking raises the rate more in the target setting. It is one
number a prompt: interval and tests are those of its mean (`by_prompt`).

The sign *flips* when both differences are significant and in opposite directions. Both must be shown, so the chance of a
false flip is at most that of the less sure one: nothing needs to be corrected for looking twice.
"""

import math
from typing import Final, Literal

import numpy as np

from rim_eval.formatting import interval, p_text, points
from rim_eval.statistics._result import Figure, Result, z_score
from rim_eval.statistics.by_prompt import by_prompt, nothing
from rim_eval.statistics.paired import PairedDifference, tallied_difference
from rim_eval.statistics.significance import Significance, significance
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

Direction = Literal["higher", "lower", "not shown"]

_WEIGHTS: Final = (1.0, -1.0, -1.0, 1.0)
"""Of both modes in the target setting, then in the reference setting."""

_DIRECTIONS: Final[dict[Significance, Direction]] = {"more": "higher", "less": "lower"}


class Gap(Result):
    """Two paired differences over the same prompts and their difference, in percentage points."""

    target: str
    """The setting that is asked about, such as `wrapped`."""
    reference: str
    """The setting it is compared with, such as `bare`."""
    target_difference: PairedDifference
    """Mode against mode in the target setting, over the prompts that are scored in all four arms."""
    reference_difference: PairedDifference
    """The same in the reference setting, over the same prompts."""
    gap: Figure
    """The first minus the second, percentage points from -200 to 200; NaN without prompts."""
    lower: Figure
    upper: Figure
    level: float
    interval_method: str
    p_value: Figure
    """Two-sided, for no gap; it belongs to the interval."""
    test_method: str
    permutation_p_value: Figure
    """The same of a permutation test, which decides nothing."""
    permutation_method: str
    direction: Direction
    """`higher` or `lower` in the target setting when the interval excludes 0."""
    sign_flips: bool
    """Whether both differences are significant, in opposite directions."""
    n_blocks: int
    """Prompts that are scored in all four arms."""
    n_prompts: int
    """Prompts that occur in any arm."""
    unpaired: tuple[str, ...]
    """Ids of the prompts that are not scored in all four, sorted; empty where nobody named them."""
    bound_lower: Figure
    """Over all prompts, if everything unscored had gone against the gap being higher; points."""
    bound_upper: Figure
    """Over all prompts, if everything unscored had gone for the gap being higher; points."""
    sentence: str


def paired_gap(
    target: tuple[Verdicts, Verdicts],
    reference: tuple[Verdicts, Verdicts],
    *,
    target_name: str,
    reference_name: str,
    modes: tuple[str, str] = ("think", "no_think"),
    level: float = 0.95,
    seed: int = 0,
) -> Gap:
    """Gap over the prompts that are scored in all four arms.

    Args:
        target: Verdicts of both modes in the target setting; prompt id to 0..1 or None when unscored, by epoch.
        reference: The same prompts in the reference setting.
        target_name: What the target setting is, for the record.
        reference_name: What the reference setting is.
        modes: Names of the two modes; the second is the reference mode.
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw.

    Raises:
        RimError: If a verdict is not in 0..1, or the level is not in (0, 1).
    """
    arms = (*target, *reference)
    settings = (target_name, target_name, reference_name, reference_name)
    for verdicts, setting, mode in zip(arms, settings, modes * 2, strict=True):
        check_verdicts(verdicts, f"{setting}, {mode}")
    asked = set[str]().union(*arms)
    blocks = asked.intersection(*map(prompt_means, arms))
    return tallied_gap(
        tally(*arms),
        target_name=target_name,
        reference_name=reference_name,
        modes=modes,
        level=level,
        seed=seed,
        unpaired=tuple(sorted(asked - blocks)),
    )


def tallied_gap(
    prompts: Tally,
    *,
    target_name: str,
    reference_name: str,
    modes: tuple[str, str] = ("think", "no_think"),
    level: float = 0.95,
    seed: int = 0,
    unpaired: tuple[str, ...] = (),
) -> Gap:
    """`paired_gap` of prompts that are counted by their verdicts.

    Args:
        prompts: Four arms: both modes in the target setting, then both in the reference setting.
        target_name: What the target setting is, for the record.
        reference_name: What the reference setting is.
        modes: Names of the two modes; the second is the reference mode.
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw.
        unpaired: Ids of the prompts that are not scored in all four, where they are known.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    z_score(level)
    blocks = {arms: n for arms, n in prompts.items() if all(map(scored, arms))}
    changes = [(100 * _contrast(arms), n) for arms, n in blocks.items()]
    found = nothing("no prompt is scored in all four arms")
    if changes:
        values = np.repeat([change for change, _ in changes], [n for _, n in changes])
        found = by_prompt(values, reach=100.0, level=level, seed=seed)
    first, second = (
        _difference(blocks, pick, modes, level, seed) for pick in (slice(0, 2), slice(2, 4))
    )
    bounds = contrast_bounds(prompts, _WEIGHTS)
    gap = Gap(
        target=target_name,
        reference=reference_name,
        target_difference=first,
        reference_difference=second,
        gap=mean_over_prompts(changes),
        lower=found.interval.lower,
        upper=found.interval.upper,
        level=level,
        **found.tests,
        direction=_DIRECTIONS.get(significance(*found.interval), "not shown"),
        sign_flips={_significance(first), _significance(second)} == {"more", "less"},
        n_blocks=sum(blocks.values()),
        n_prompts=sum(prompts.values()),
        unpaired=unpaired,
        bound_lower=100 * bounds.lower,
        bound_upper=100 * bounds.upper,
        sentence="",
    )
    return gap.model_copy(update={"sentence": _sentence(gap)})


def _contrast(arms: tuple[Epochs, ...]) -> float:
    means = [mean for arm in arms if (mean := mean_verdict(arm)) is not None]
    return math.fsum(weight * mean for weight, mean in zip(_WEIGHTS, means, strict=True))


def _difference(
    blocks: Tally, pick: slice, modes: tuple[str, str], level: float, seed: int
) -> PairedDifference:
    """Mode against mode in one setting."""
    pairs = dict.fromkeys((arms[pick] for arms in blocks), 0)
    for arms, n in blocks.items():
        pairs[arms[pick]] += n
    return tallied_difference(
        pairs, target_name=modes[0], reference_name=modes[1], level=level, seed=seed
    )


def _significance(difference: PairedDifference) -> Significance:
    return significance(difference.lower, difference.upper)


def _sentence(gap: Gap) -> str:
    """Both differences, the gap, and whether the sign flips."""
    if not gap.n_blocks:
        return "No prompt is scored in both modes in both settings."
    first, second = gap.target_difference, gap.reference_difference
    figures = (
        f"{first.target} minus {first.reference} is {points(first.difference)} points {gap.target} and "
        f"{points(second.difference)} points {gap.reference} (gap {points(gap.gap)} points, "
        f"{interval(gap.lower, gap.upper)}, {p_text(gap.p_value)}, n = {gap.n_blocks} prompts)"
    )
    if gap.sign_flips:
        return f"The sign flips: {figures}, each significant."
    if gap.direction == "not shown":
        return f"No change from {gap.reference} to {gap.target} is shown: {figures}."
    return f"The difference is {gap.direction} {gap.target} than {gap.reference}: {figures}; that its sign flips is not shown."
