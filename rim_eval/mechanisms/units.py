"""Units: heads and neurons as (layer, number), and what two sets of them share."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rim_eval.statistics._result import Figure, Result

__all__ = ["Overlap", "Unit", "by_layer", "overlap"]


class Unit(NamedTuple):
    """One head or one neuron; both counted from 0."""

    layer: int
    number: int


def by_layer(units: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    """Layer to the indices in it, both sorted."""
    found: dict[int, list[int]] = {}
    for layer, index in sorted(set(units)):
        found.setdefault(layer, []).append(index)
    return found


class Overlap(Result):
    """How much two sets of units share, beside what chance would give."""

    shared: int
    first: int
    second: int
    jaccard: Figure
    """Shared over all, 0 to 1; NaN when both are empty."""
    expected: Figure
    """Shared units of two random sets with these numbers per layer."""
    p_value: Figure
    """Chance of at least so many shared units, one-sided (Monte Carlo, 10,000 draws)."""


def overlap(
    first: Sequence[tuple[int, int]],
    second: Sequence[tuple[int, int]],
    width: Callable[[int], int],
    *,
    seed: int = 0,
) -> Overlap:
    """Shared units of two sets: does one set explain two effects?

    expected = sum over layers of n1 n2 / width; the p value draws hypergeometric counts per layer.

    Args:
        first: One set.
        second: The other.
        width: Units that a layer has.
        seed: Seed of the draws.
    """
    one, two = set(map(tuple, first)), set(map(tuple, second))
    counts = [Counter(layer for layer, _ in chosen) for chosen in (one, two)]
    layers = sorted(counts[0].keys() & counts[1])
    shared, union = len(one & two), len(one | two)
    rng = np.random.default_rng(seed)
    drawn = sum(
        (
            rng.hypergeometric(counts[0][x], width(x) - counts[0][x], counts[1][x], size=10_000)
            for x in layers
        ),
        np.zeros(10_000, dtype=np.int64),
    )
    return Overlap(
        shared=shared,
        first=len(one),
        second=len(two),
        jaccard=shared / union if union else float("nan"),
        expected=float(sum(counts[0][x] * counts[1][x] / width(x) for x in layers)),
        p_value=float(((drawn >= shared).sum() + 1) / (len(drawn) + 1)),
    )
