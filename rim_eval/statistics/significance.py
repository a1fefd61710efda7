"""Significance: the one rule for what a difference shows, and Holm's correction for several endpoints.

The interval decides: a difference is shown when its interval lies on one side of zero. Every interval of a difference comes
with the test that it is made of (`PairedDifference.p_value`), which rejects no difference exactly there: for verdicts of one
epoch Tango's interval with McNemar's score test, else the score interval of the mean by prompt with its score test. So
interval and test never disagree. The permutation test beside it (`permutation_p_value`, McNemar's exact test at one epoch,
which is conservative) needs no approximation and decides nothing.

Holm: sort the m p values upwards; the i-th (from 0) is multiplied by m - i, and no adjusted value may
be smaller than one before it. Rejecting those at most alpha keeps the chance of any false
rejection at most alpha, whatever the dependence.

Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
"""

import math
from collections.abc import Mapping
from itertools import accumulate
from typing import Literal

from rim_eval.errors import RimError

Significance = Literal["more", "less", "includes_zero", "unknown"]
"""More or less frequent in the target arm; an interval that includes zero; no interval."""


def significance(lower: float | None, upper: float | None) -> Significance:
    """Read a difference by its interval.

    Args:
        lower: Lower end, in any unit; None or NaN where there is no interval.
        upper: Upper end.
    """
    if lower is None or upper is None or lower != lower or upper != upper:
        return "unknown"
    if lower <= 0 <= upper:
        return "includes_zero"
    return "more" if lower > 0 else "less"


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p values of the declared primary endpoints, in the order given.

    Args:
        p_values: Endpoint to p value. NaN (declared but not measured) still counts in the
            family, as if its p were 1, and stays NaN: leaving it out would reward dropping it.

    Raises:
        RimError: If a p value is outside 0..1.
    """
    for name, p in p_values.items():
        if not (math.isnan(p) or 0 <= p <= 1):
            raise RimError(f"endpoint {name!r}: p={p!r} is not a probability from 0 to 1.")
    family = {name: 1.0 if math.isnan(p) else p for name, p in p_values.items()}
    ranked = sorted(family, key=lambda name: family[name])
    scaled = (min(1.0, (len(ranked) - rank) * family[name]) for rank, name in enumerate(ranked))
    adjusted = dict(zip(ranked, accumulate(scaled, max), strict=True))
    return {name: math.nan if math.isnan(p) else adjusted[name] for name, p in p_values.items()}
