"""Verdicts of one arm: what every statistic starts from, and the bounds that unscored ones leave.

An arm is a mapping from prompt id to the verdicts of its epochs, in order. A verdict is a number
from 0 to 1 (1 = misaligned, or correct, or refused: whatever the rate counts), or None when the
sample is unscored. None is never 0: it leaves the rate and enters the bounds.

Bounds say where a figure would lie if every unscored verdict had gone one way or the other. Nothing is
assumed about why a verdict is missing, so they are sharp and can be wide. They speak about *all* prompts, the
estimate about the scored ones: when verdicts are missing mainly where the rate is high (or low), the estimate
itself can lie outside, and that is what they are there to show.

Source of the bounds: C. F. Manski, American Economic Review 80 (1990) 319-323.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain, repeat
from typing import TypeAlias

from rim_eval.errors import RimError
from rim_eval.statistics._result import Interval

Verdicts = Mapping[str, Sequence[float | None]]
"""Prompt id to its verdicts by epoch: 0..1, or None when unscored."""

Epochs: TypeAlias = tuple[float | None, ...]
"""The verdicts of one prompt by epoch; `()` where the arm lacks the prompt."""

Tally: TypeAlias = Mapping[tuple[Epochs, ...], int]
"""How many prompts have the same verdicts in every arm, by those verdicts, one `Epochs` an arm.

No figure depends on which prompts they are, and of a hundred thousand prompts few dozen differ in this."""


def tally(*arms: Verdicts) -> Counter[tuple[Epochs, ...]]:
    """Count the prompts of one or more arms by their verdicts, in the order of their ids."""
    prompts = sorted(set().union(*arms))
    return Counter(tuple(tuple(arm.get(prompt, ())) for arm in arms) for prompt in prompts)


def check_verdicts(verdicts: Verdicts, arm: str) -> None:
    """Refuse anything that is not a verdict.

    Args:
        verdicts: The arm.
        arm: Its name, for the message.

    Raises:
        RimError: Naming the first prompt with a value outside 0..1 or not a number.
    """
    for prompt, epochs in verdicts.items():
        for verdict in epochs:
            if verdict is not None and not 0 <= verdict <= 1:
                raise RimError(
                    f"{arm}: prompt {prompt!r} has the verdict {verdict!r}; "
                    "a verdict is a number from 0 to 1, or None when the sample is unscored."
                )


def scored(epochs: Sequence[float | None]) -> list[float]:
    """The verdicts that are there, in order."""
    return [float(verdict) for verdict in epochs if verdict is not None]


@lru_cache(maxsize=4096)
def mean_verdict(epochs: Epochs) -> float | None:
    """Mean over the scored epochs of one prompt; None where none is."""
    verdicts = scored(epochs)
    return math.fsum(verdicts) / len(verdicts) if verdicts else None


def prompt_means(verdicts: Verdicts) -> dict[str, float]:
    """Mean verdict of every prompt that has at least one scored epoch."""
    means = {prompt: mean_verdict(tuple(epochs)) for prompt, epochs in verdicts.items()}
    return {prompt: mean for prompt, mean in means.items() if mean is not None}


def single_epoch(prompts: Iterable[Epochs]) -> bool:
    """Whether every prompt has at most one scored verdict and each is exactly 0 or 1."""
    return all(
        len(epochs) <= 1 and all(verdict in (0, 1) for verdict in epochs)
        for epochs in map(scored, prompts)
    )


def mean_over_prompts(values: Sequence[tuple[float, int]]) -> float:
    """Mean of values that several prompts share: to the digit that of one value a prompt.

    Args:
        values: Each value with how many prompts have it.

    Returns:
        The mean; NaN without prompts.
    """
    n = sum(prompts for _, prompts in values)
    # Rounded once, at the end, whatever the order.
    total = math.fsum(chain.from_iterable(repeat(value, prompts) for value, prompts in values))
    return total / n if n else math.nan


def rate_bounds(prompts: Tally) -> Interval:
    """Mean over all prompts if the unscored verdicts were all 0, and if they were all 1.

    A prompt without any entry counts as wholly unscored.

    Args:
        prompts: One arm.

    Returns:
        Both bounds, fractions; NaN without prompts.
    """
    return _mean_interval([(_possible_mean(epochs), n) for (epochs,), n in prompts.items()])


def difference_bounds(prompts: Tally) -> Interval:
    """Mean difference over all prompts of either arm, at both extremes of the unscored verdicts.

    Lower: the target's unscored verdicts all 0 and the reference's all 1; upper: the other way.
    A prompt that an arm lacks counts as wholly unscored there.

    Args:
        prompts: Two arms, the target and the reference.

    Returns:
        Both bounds, fractions from -1 to 1; NaN without prompts.
    """
    return contrast_bounds(prompts, (1.0, -1.0))


def contrast_bounds(prompts: Tally, weights: Sequence[float]) -> Interval:
    """Mean weighted sum of the arms over all prompts, at both extremes of the unscored verdicts.

    Lower: unscored verdicts are 0 in arms of positive weight and 1 in those of negative weight; upper: the other way.
    A prompt that an arm lacks counts as wholly unscored there.

    Args:
        prompts: One or more arms.
        weights: One an arm, in their order.

    Returns:
        Both bounds, in the unit of the weights; NaN without prompts.
    """
    return _mean_interval([(_possible_contrast(arms, weights), n) for arms, n in prompts.items()])


def _possible_contrast(arms: Sequence[Epochs], weights: Sequence[float]) -> Interval:
    ends = [
        sorted((weight * mean.lower, weight * mean.upper))
        for weight, mean in zip(weights, map(_possible_mean, arms), strict=True)
    ]
    return Interval(math.fsum(low for low, _ in ends), math.fsum(high for _, high in ends))


@lru_cache(maxsize=4096)
def _possible_mean(epochs: Epochs) -> Interval:
    if not epochs:
        return Interval(0.0, 1.0)
    events = sum(verdict for verdict in epochs if verdict is not None)
    missing = sum(verdict is None for verdict in epochs)
    return Interval(events / len(epochs), (events + missing) / len(epochs))


def _mean_interval(intervals: Sequence[tuple[Interval, int]]) -> Interval:
    return Interval(
        mean_over_prompts([(each.lower, n) for each, n in intervals]),
        mean_over_prompts([(each.upper, n) for each, n in intervals]),
    )
