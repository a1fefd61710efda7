"""A model's change with thinking, prompt by prompt, and the mean of one value a prompt."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rim_eval import statistics
from rim_eval.statistics import Verdicts
from rim_eval.statistics.confidence_sequence import METHOD, TEST
from rim_eval.statistics.verdicts import prompt_means
from rim_eval.types import Mode

ArmVerdicts = Mapping[Mode, Verdicts]
"""Verdicts of one model on one set by mode, then by prompt id, in epoch order."""

SetVerdicts = Mapping[str, ArmVerdicts]
"""Verdicts of every model on one set; empty where there are none."""


def changes_by_prompt(arms: ArmVerdicts) -> dict[str, float]:
    """Think minus no-think of every prompt that is a pair, as fractions from -1 to 1."""
    think, no_think = (prompt_means(arms.get(mode, {})) for mode in ("think", "no_think"))
    return {prompt: think[prompt] - no_think[prompt] for prompt in think.keys() & no_think}


def mean_by_prompt(
    values: Sequence[float], *, reach: float, level: float, sequential: bool = False
) -> tuple[dict[str, Any], str]:
    """Mean of one value a prompt with interval, test and n, the fields of a `PointsEstimate`; and both methods in words.

    Args:
        values: In percentage points, one a prompt.
        reach: The largest value that a prompt can have.
        level: Confidence, a fraction.
        sequential: Whether the prompts come from a run that could stop early.
    """
    if sequential:
        # What a bet may risk depends on the largest value that can come, seen or not.
        counts, ends = Counter(round(value, 9) for value in values), {"low": -reach, "high": reach}
        interval = statistics.confidence_sequence(counts, **ends, level=level)
        p_value, how = statistics.sequential_p(counts, 0.0, **ends), f"{METHOD}; {TEST}"
    else:
        found = statistics.by_prompt(values, reach=min(reach, 100.0), level=level)
        interval, p_value = found.interval, found.p_value
        how = f"{found.interval_method}; {found.test_method}"
    fields = {"value": math.fsum(values) / len(values), "p_value": p_value}
    return {**fields, **interval._asdict(), "n": len(values), "level": level}, how
