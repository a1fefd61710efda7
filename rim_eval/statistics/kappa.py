"""Cohen's kappa: agreement of two raters beyond chance.

    kappa = (p_o - p_e) / (1 - p_e)

with p_o the observed share of agreement and p_e the share that two independent raters with the same
marginals would reach (Cohen, 1960, Educational and Psychological Measurement 20).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from rim_eval.statistics.wilson import Estimate

_DRAWS: Final = 4000
_SEED: Final = 20260101


def cohen_kappa(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """Cohen's kappa of two raters over any labels.

    Args:
        pairs: One pair of labels (first rater, second rater) an item.

    Returns:
        Kappa from -1 to 1; None when there is no item, or chance agreement is total.
    """
    n = len(pairs)
    if not n:
        return None
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    agree = sum(a == b for a, b in pairs) / n
    chance = sum(first[label] * second[label] for label in first) / n**2
    return None if chance == 1 else (agree - chance) / (1 - chance)


def binary_kappa(tp: Any, fp: Any, tn: Any, fn: Any) -> Any:
    """Cohen's kappa of two raters over two classes, from the four counts.

    Args:
        tp: Both say yes. A number, or an array of one count a bootstrap draw, as the other three.
        fp: Only the second says yes.
        tn: Both say no.
        fn: Only the first says yes.

    Returns:
        Kappa in the shape of the counts. Undefined (no item, or chance agreement is total): for arrays
        NaN, as numpy divides; for numbers None.
    """
    n = tp + fp + tn + fn
    by_chance = (tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)
    beyond, most = (tp + tn) * n - by_chance, n * n - by_chance
    if isinstance(most, int | float):
        return beyond / most if most > 0 else None
    return beyond / most


def kappa_interval(tp: int, fp: int, tn: int, fn: int, level: float = 0.95) -> Estimate | None:
    """Binary kappa with its percentile bootstrap interval over items.

    Args:
        tp: Both say yes; the other counts as for `binary_kappa`.
        fp: Only the second says yes.
        tn: Both say no.
        fn: Only the first says yes.
        level: Confidence, a fraction.

    Returns:
        Kappa and the ends of its interval; None where kappa is undefined.
    """
    import numpy as np

    cells = np.array([tp, fp, tn, fn])
    value = binary_kappa(*cells.tolist()) if cells.sum() else None
    if value is None:
        return None
    draws = np.random.default_rng(_SEED).multinomial(cells.sum(), cells / cells.sum(), _DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = binary_kappa(*draws.T.astype(float))
    ends = np.nanpercentile(drawn, [50 - 50 * level, 50 + 50 * level])
    return Estimate(float(value), *map(float, ends))
