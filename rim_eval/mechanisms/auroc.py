"""AUROC: the chance that a positive scores above a negative, with an interval."""

import math

import numpy as np
from numpy.typing import NDArray

from rim_eval.statistics import Interval
from rim_eval.statistics._result import Figure, Result, z_score

__all__ = ["Auroc", "auroc"]


class Auroc(Result):
    """Area under the ROC curve: the chance that a positive scores above a negative, 0 to 1."""

    value: Figure
    lower: Figure
    upper: Figure
    n_positive: int
    n_negative: int
    level: float
    method: str = "Newcombe's score interval with Hanley and McNeil's variance"


def auroc(
    positive: NDArray[np.floating], negative: NDArray[np.floating], level: float = 0.95
) -> Auroc:
    """P(positive score > negative score) + P(equal) / 2, with a score interval.

    The interval holds all values A0 with |A - A0| <= z sqrt(V(A0)), where V is Hanley and McNeil's
    variance with both class sizes replaced by their mean (Newcombe, Stat. Med. 25 (2006) 559,
    method 5); it has a width at 0 and 1, where probes like to be.

    Args:
        positive: Scores, shape (N+,).
        negative: Scores, shape (N-,).
        level: Confidence level.
    """
    n_pos, n_neg = len(positive), len(negative)
    if not n_pos or not n_neg:
        return Auroc(
            value=math.nan,
            lower=math.nan,
            upper=math.nan,
            n_positive=n_pos,
            n_negative=n_neg,
            level=level,
        )
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    area = float((below + not_above).sum() / (2 * n_pos * n_neg))
    ends = _area_interval(area, n_pos, n_neg, z_score(level))
    return Auroc(
        value=area,
        lower=ends.lower,
        upper=ends.upper,
        n_positive=n_pos,
        n_negative=n_neg,
        level=level,
    )


def _area_interval(area: float, n_pos: int, n_neg: int, z: float) -> Interval:
    from scipy.optimize import brentq

    extra = (n_pos + n_neg) / 2 - 1

    def spread(at: float) -> float:
        shape = 1 + extra * ((1 - at) / (2 - at) + at / (1 + at))
        return z * math.sqrt(at * (1 - at) * shape / (n_pos * n_neg))

    lower = 0.0 if area == 0 else brentq(lambda at: area - at - spread(at), 0.0, area)
    upper = 1.0 if area == 1 else brentq(lambda at: at - area - spread(at), area, 1.0)
    # At the estimate itself the equation has a root only when the spread is 0 there.
    if area == 1:
        lower = brentq(lambda at: 1 - at - spread(at), 0.0, 1 - 1e-12)
    if area == 0:
        upper = brentq(lambda at: at - spread(at), 1e-12, 1.0)
    return Interval(float(lower), float(upper))
