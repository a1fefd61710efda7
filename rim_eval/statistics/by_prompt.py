"""The interval of a mean of differences by prompt, also where a bootstrap has nothing to resample.

A bootstrap of values that are all equal has no width, as if a model that turned alike on 30 prompts
could not turn otherwise on the next. Then with z the normal quantile at most the share

    q = z^2 / (n + z^2)

of prompts has another value (Wilson's upper end for 0 of n), at worst one at either end of the range
-r..r, so the mean m lies in m - q (m + r) .. m + q (r - m). For differences of two verdicts (r = 1)
that are all 0, 1 or -1 this is Tango's interval.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rim_eval.statistics._result import Interval
from rim_eval.statistics.bootstrap import bootstrap_by_prompt
from rim_eval.statistics.wilson import wilson_interval

_ALIKE = 1e-9
"""Values that differ by less differ by rounding."""


class MeanInterval(NamedTuple):
    """Both ends, in the unit of the values, and how they were made."""

    interval: Interval
    method: str


def interval_by_prompt(values: ArrayLike, *, reach: float, level: float = 0.95) -> MeanInterval:
    """Interval of the mean of one value a prompt.

    Args:
        values: Shape (prompts,), at least one, each within -reach..reach.
        reach: The largest value that a prompt can have: 1 for a difference of two rates, 2 for a
            difference of two such differences (100 and 200 in percentage points).
        level: Confidence, a fraction.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    found = np.asarray(values, dtype=float)
    if np.ptp(found) > _ALIKE * reach:
        ends = bootstrap_by_prompt(found, level=level)
        return MeanInterval(ends, "bootstrap by prompt (percentile, exact)")
    share, mean = wilson_interval(0, len(found), level).upper, float(found[0])
    ends = Interval(mean - share * (mean + reach), mean + share * (reach - mean))
    return MeanInterval(ends, "Wilson, of prompts that could differ (all pairs differ alike)")
