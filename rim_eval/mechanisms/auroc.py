"""AUROC: the chance that a positive scores above a negative, with a score interval.

With R the sum of the positives' ranks among all scores (equal scores share their mean rank),

    A = (R / N+ - (N+ + 1) / 2) / N-

The interval holds all values A0 with |A - A0| <= z sqrt(V(A0)), where V is Hanley and McNeil's
variance with both class sizes replaced by their mean (Newcombe, Stat. Med. 25 (2006) 559, method 5);
it has a width at 0 and 1, where probes often are. At A0 = 0.5 V is the Mann-Whitney variance
(N + 1) / (12 N+ N-), so leaving 0.5 out is that test without its continuity correction.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rim_eval.statistics._result import Figure, Result, z_score


class Auroc(Result):
    """Area under the ROC curve: the chance that a positive scores above a negative, 0 to 1."""

    value: Figure
    lower: Figure
    upper: Figure
    n_positive: int
    n_negative: int
    level: float
    method: str = "Newcombe's score interval with Hanley and McNeil's variance"


def areas(scores: NDArray[np.floating], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AUROC of many scores at once.

    Args:
        scores: Shape (samples, ...).
        labels: True for positives, of a shape that broadcasts with that of the scores.

    Returns:
        Shape (...), NaN where either class is empty.
    """
    from scipy.stats import rankdata

    positive: Any = labels.sum(0)
    negative = len(labels) - positive
    ranks = rankdata(scores, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: NDArray[np.float64] = (
            np.where(labels, ranks, 0).sum(0) / positive - (positive + 1) / 2
        ) / negative
    return area


def auroc(
    positive: NDArray[np.floating], negative: NDArray[np.floating], level: float = 0.95
) -> Auroc:
    """Measure the AUROC of one score, with its interval.

    Args:
        positive: Scores, shape (N+,).
        negative: Scores, shape (N-,).
        level: Confidence level, a fraction.

    Returns:
        NaN figures when either class is empty.
    """
    from scipy.optimize import brentq

    n_pos, n_neg, z = len(positive), len(negative), z_score(level)
    area = lower = upper = math.nan

    def width(at: float) -> float:
        shape = 1 + ((n_pos + n_neg) / 2 - 1) * ((1 - at) / (2 - at) + at / (1 + at))
        return z * math.sqrt(at * (1 - at) * shape / (n_pos * n_neg))

    if n_pos and n_neg:
        labels = np.arange(n_pos + n_neg) < n_pos
        area = lower = upper = float(areas(np.concatenate([positive, negative]), labels))
        # At the estimate itself the equation has a root only when the width is 0 there.
        if area > 0:
            lower = brentq(lambda at: area - at - width(at), 0.0, min(area, 1 - 1e-12))
        if area < 1:
            upper = brentq(lambda at: at - area - width(at), max(area, 1e-12), 1.0)
    return Auroc(
        value=area, lower=lower, upper=upper, n_positive=n_pos, n_negative=n_neg, level=level
    )
