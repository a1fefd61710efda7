"""The mean of one number a prompt, such as a difference of means over epochs: interval, the test it is made of, permutation test.

The interval and its test are the score interval and the score test of a bounded mean (`bounded_mean`), which agree; where no
value but -r, 0 and r occurs, as with one verdict a prompt and arm, they are Tango's and McNemar's. The permutation test
(`paired_tests`) stands beside them and needs no approximation.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rim_eval.statistics._result import Interval
from rim_eval.statistics.bounded_mean import bounded_mean_interval, bounded_mean_test
from rim_eval.statistics.paired_tests import mcnemar_exact, mcnemar_score, sign_flip_test
from rim_eval.statistics.tango import tango_interval

INTERVAL_METHOD = "score interval of the mean by prompt"
TEST_METHOD = "score test of the mean by prompt"


class ByPrompt(NamedTuple):
    """How sure the mean over prompts is, in the unit of the values."""

    interval: Interval
    interval_method: str
    p_value: float
    """Two-sided, for a mean of zero: at most 1 - level exactly where the interval leaves zero out."""
    test_method: str
    permutation_p_value: float
    """Two-sided, of the sign-flip permutation test."""
    permutation_method: str

    @property
    def tests(self) -> dict[str, Any]:
        """All but the interval's ends, as fields of a result."""
        return {name: value for name, value in self._asdict().items() if name != "interval"}


def nothing(why: str) -> ByPrompt:
    """No figure at all.

    Args:
        why: What there is none of.
    """
    method = f"none: {why}"
    return ByPrompt(Interval(math.nan, math.nan), method, math.nan, method, math.nan, method)


def by_prompt(values: ArrayLike, *, reach: float, level: float = 0.95, seed: int = 0) -> ByPrompt:
    """Interval and tests of the mean over prompts.

    Args:
        values: One value a prompt, shape (prompts,), at least one, each within -reach..reach.
        reach: The largest value that a prompt can have, such as 1 for a difference of two rates. Where a larger one is
            seen, that counts: a difference of two such differences reaches 2, but seldom, and its interval with a reach of 1
            covers what it says (`benchmarks/paired_coverage.py`).
        level: Confidence, a fraction.
        seed: Seed of the permutation test where it must draw.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    data = np.asarray(values, dtype=float)
    reach = max(reach, float(np.abs(data).max()))
    steps = np.round(data / reach, 12)
    if np.isin(steps, (-1, 0, 1)).all():
        return _three_values(
            int((steps > 0).sum()), int((steps < 0).sum()), data.size, reach, level
        )
    flips = sign_flip_test(values, seed=seed)
    return ByPrompt(
        bounded_mean_interval(values, reach=reach, level=level),
        INTERVAL_METHOD,
        bounded_mean_test(values, reach=reach),
        TEST_METHOD,
        flips.p_value,
        flips.method,
    )


def _three_values(b: int, c: int, n: int, reach: float, level: float) -> ByPrompt:
    """Of n values b are the reach and c its opposite, the others 0."""
    lower, upper = tango_interval(b, c, n, level)
    return ByPrompt(
        Interval(reach * lower, reach * upper),
        "Tango",
        mcnemar_score(b, c),
        "McNemar score test",
        mcnemar_exact(b, c),
        "exact McNemar test",
    )
