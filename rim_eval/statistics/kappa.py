"""Cohen's kappa: agreement of two raters beyond chance.

    kappa = (p_o - p_e) / (1 - p_e)

with p_o the observed share of agreement and p_e the share that two independent raters with the same
marginals would reach (Cohen, 1960, Educational and Psychological Measurement 20).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any


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
