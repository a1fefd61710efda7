"""Correlation with what a reader needs to weigh it: n, ties, interval."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rim_eval.statistics._result import Figure, Result, z_score

__all__ = ["Correlation", "correlate"]


class Correlation(Result):
    """One coefficient, from -1 to 1."""

    kind: Literal["pearson", "spearman"]
    value: Figure
    """NaN when either side is constant, or with fewer than three points."""
    lower: Figure
    upper: Figure
    level: float
    p_value: Figure
    """Two-sided, for no correlation; points of one training run are not independent."""
    n: int
    ties: int
    """Points whose y equals that of an earlier point."""
    method: str


def correlate(
    x: Sequence[float],
    y: Sequence[float],
    kind: Literal["pearson", "spearman"],
    level: float = 0.95,
) -> Correlation:
    """Pearson's or Spearman's coefficient with Fisher's interval.

    The interval is tanh(atanh r -+ z se) with se = 1 / sqrt(n - 3) for Pearson and
    sqrt((1 + r^2 / 2) / (n - 3)) for Spearman (Bonett and Wright, Psychometrika 65 (2000) 23); with
    three points or fewer it is the whole range.

    Args:
        x: One side, shape (n,).
        y: The other, shape (n,).
        kind: Which coefficient.
        level: Confidence level.
    """
    both = np.asarray([x, y], dtype=float)
    n, ties = both.shape[1], both.shape[1] - len(np.unique(both[1]))
    value, p_value = _coefficient(both, kind)
    ends = _interval(value, n, kind, level)
    return Correlation(
        kind=kind,
        value=value,
        lower=ends[0],
        upper=ends[1],
        level=level,
        p_value=p_value,
        n=n,
        ties=ties,
        method="Fisher z" if kind == "pearson" else "Fisher z, Bonett and Wright's error",
    )


def _coefficient(both: NDArray[np.float64], kind: str) -> tuple[float, float]:
    if both.shape[1] < 3 or not np.isfinite(both).all() or (np.ptp(both, axis=1) == 0).any():
        return math.nan, math.nan
    from scipy.stats import pearsonr, spearmanr

    found = pearsonr(*both) if kind == "pearson" else spearmanr(*both)
    return float(found.statistic), float(found.pvalue)


def _interval(value: float, n: int, kind: str, level: float) -> tuple[float, float]:
    if math.isnan(value):
        return math.nan, math.nan
    if n <= 3:
        return -1.0, 1.0
    if abs(value) >= 1:
        return value, value
    spread = 1.0 if kind == "pearson" else math.sqrt(1 + value * value / 2)
    half = z_score(level) * spread / math.sqrt(n - 3)
    centre = math.atanh(value)
    return math.tanh(centre - half), math.tanh(centre + half)
