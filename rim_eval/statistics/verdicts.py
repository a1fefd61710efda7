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
from collections.abc import Mapping, Sequence

from rim_eval.errors import RimError
from rim_eval.statistics._result import Interval

Verdicts = Mapping[str, Sequence[float | None]]
"""Prompt id to its verdicts by epoch: 0..1, or None when unscored."""


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


def prompt_means(verdicts: Verdicts) -> dict[str, float]:
    """Mean verdict of every prompt that has at least one scored epoch."""
    by_prompt = {prompt: scored(epochs) for prompt, epochs in verdicts.items()}
    return {p: math.fsum(epochs) / len(epochs) for p, epochs in by_prompt.items() if epochs}


def single_epoch(verdicts: Verdicts) -> bool:
    """Whether every prompt has at most one scored verdict and each is exactly 0 or 1."""
    return all(
        len(epochs) <= 1 and all(verdict in (0, 1) for verdict in epochs)
        for epochs in map(scored, verdicts.values())
    )


def rate_bounds(verdicts: Verdicts) -> Interval:
    """Mean over all prompts if the unscored verdicts were all 0, and if they were all 1.

    A prompt without any entry counts as wholly unscored.

    Returns:
        Both bounds, fractions; NaN without prompts.
    """
    return _mean_interval([_possible_mean(epochs) for epochs in verdicts.values()])


def difference_bounds(target: Verdicts, reference: Verdicts) -> Interval:
    """Mean difference over all prompts of either arm, at both extremes of the unscored verdicts.

    Lower: the target's unscored verdicts all 0 and the reference's all 1; upper: the other way.
    A prompt that an arm lacks counts as wholly unscored there.

    Returns:
        Both bounds, fractions from -1 to 1; NaN without prompts.
    """
    possible = [
        (_possible_mean(target.get(prompt, ())), _possible_mean(reference.get(prompt, ())))
        for prompt in target.keys() | reference
    ]
    return _mean_interval([Interval(t.lower - r.upper, t.upper - r.lower) for t, r in possible])


def _possible_mean(epochs: Sequence[float | None]) -> Interval:
    if not epochs:
        return Interval(0.0, 1.0)
    events = sum(verdict for verdict in epochs if verdict is not None)
    missing = sum(verdict is None for verdict in epochs)
    return Interval(events / len(epochs), (events + missing) / len(epochs))


def _mean_interval(intervals: Sequence[Interval]) -> Interval:
    if not intervals:
        return Interval(math.nan, math.nan)
    return Interval(
        math.fsum(each.lower for each in intervals) / len(intervals),
        math.fsum(each.upper for each in intervals) / len(intervals),
    )
