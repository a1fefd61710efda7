"""The base of all statistical results: a frozen record that converts to JSON."""

import json
import math
from statistics import NormalDist
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator

from rim_eval.errors import RimError
from rim_eval.types import FrozenModel


def _nan_for_none(value: Any) -> Any:
    return math.nan if value is None else value


Figure = Annotated[float, BeforeValidator(_nan_for_none)]
"""A number that may be missing: NaN in Python, `null` in JSON."""


class Interval(NamedTuple):
    """Both ends of a confidence interval, in the unit of the estimate."""

    lower: float
    upper: float


class Result(FrozenModel):
    """Base of all results: frozen, no unknown fields, NaN becomes `null`."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON values; NaN (nothing to compute from) becomes None."""
        plain: dict[str, Any] = json.loads(self.model_dump_json())
        return plain


def student_quantile(freedom: float, level: float) -> float:
    """The quantile of Student's distribution that leaves `1 - level` outside, half on each side.

    Args:
        freedom: Degrees of freedom, above 0.
        level: Confidence, a fraction between 0 and 1.
    """
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


def z_score(level: float) -> float:
    """The normal quantile that leaves `1 - level` outside, half on each side.

    Args:
        level: Confidence, a fraction between 0 and 1 (0.95, not 95).

    Raises:
        RimError: If the level is not strictly between 0 and 1.
    """
    if not 0 < level < 1:
        raise RimError(
            f"level={level!r}: a confidence level is a fraction between 0 and 1, such as 0.95."
        )
    return NormalDist().inv_cdf(0.5 + level / 2)
