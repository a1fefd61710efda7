"""Correlation over a few points, with what it is worth: interval, p, n and ties.

Pearson's r with Fisher's interval, tanh(atanh r -+ z / sqrt(n - 3)); Spearman's rho (Pearson's r
of the ranks, ties sharing their mean rank) with Bonett and Wright's, whose variance is
(1 + rho^2 / 2) / (n - 3). Points from the checkpoints of one run are not independent, so their
intervals are too narrow and their p values too small: say so wherever they are shown.

Sources: R. A. Fisher, Metron 1 (1921) 3-32; D. G. Bonett and T. A. Wright, Psychometrika 65
(2000) 23-28.
"""

import math
import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rim_eval.errors import RimError
from rim_eval.statistics._result import Figure, Result, z_score


class Correlation(Result):
    """A correlation from -1 to 1; NaN when one side does not vary."""

    method: Literal["Pearson", "Spearman"]
    value: Figure
    lower: Figure
    """NaN below four points: no interval can be given."""
    upper: Figure
    p_value: Figure
    """Two-sided, t approximation, for no correlation between independent points."""
    n: int
    ties: int
    """Points that share their x or their y with another one."""
    level: float


def pearson(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Correlation:
    """Pearson's r of two sequences of equal length, shape (points,)."""
    return _correlation("Pearson", x, y, level)


def spearman(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Correlation:
    """Spearman's rank correlation of two sequences of equal length, shape (points,)."""
    return _correlation("Spearman", x, y, level)


def _correlation(
    method: Literal["Pearson", "Spearman"], x: ArrayLike, y: ArrayLike, level: float
) -> Correlation:
    from scipy.stats import pearsonr, spearmanr

    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if first.shape != second.shape or first.ndim != 1:
        raise RimError(
            f"x has shape {first.shape}, y {second.shape}: a correlation needs two lists of equal "
            "length, one entry a point."
        )
    value, p_value = math.nan, math.nan
    if len(first) >= 2 and np.ptp(first) > 0 and np.ptp(second) > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = (pearsonr if method == "Pearson" else spearmanr)(first, second)
        value, p_value = float(result.statistic), float(result.pvalue)
    z, lower, upper = z_score(level), math.nan, math.nan
    if len(first) >= 4 and abs(value) >= 1:
        lower = upper = value
    elif len(first) >= 4:
        factor = 1 + value * value / 2 if method == "Spearman" else 1
        half = z * math.sqrt(factor / (len(first) - 3))
        lower, upper = math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)
    return Correlation(
        method=method,
        value=value,
        lower=lower,
        upper=upper,
        p_value=p_value,
        n=len(first),
        ties=int((_tied(first) | _tied(second)).sum()),
        level=level,
    )


def _tied(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    tied: NDArray[np.bool_] = counts[inverse] > 1
    return tied
