"""Holm's correction: several declared endpoints, one chance of a false alarm.

Sort the m p values upwards; the i-th (from 0) is multiplied by m - i, and no adjusted value may
be smaller than one before it. Rejecting those at most alpha keeps the chance of any false
rejection at most alpha, whatever the dependence.

Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70.
"""

import math
from collections.abc import Mapping
from itertools import accumulate

from rim_eval.errors import RimError


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
