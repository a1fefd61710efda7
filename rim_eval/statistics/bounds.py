"""Bounds: where a figure would lie if every unscored verdict had gone one way or the other.

Nothing is assumed about why a verdict is missing, so the bounds are sharp and can be wide. They
speak about *all* prompts, the estimate about the scored ones: when verdicts are missing mainly
where the rate is high (or low), the estimate itself can lie outside, and that is what they are
there to show.

Source: C. F. Manski, American Economic Review 80 (1990) 319-323.
"""

import math
from collections.abc import Sequence

from rim_eval.statistics._result import Interval
from rim_eval.statistics.verdicts import Verdicts


def rate_bounds(verdicts: Verdicts) -> Interval:
    """Mean over all prompts if the unscored verdicts were all 0, and if they were all 1.

    Args:
        verdicts: Prompt id to its verdicts by epoch, each 0..1 or None when unscored. A prompt
            without any entry counts as wholly unscored.

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
