"""Draws: what random sets of units can support, and what they cannot.

A set is laid beside n random sets of the same size. When k of them reach at least as far,

    beyond   (1 + k) / (1 + n) <= 0.05: were the set one of them, it would seldom rank so high
             (a permutation test; it takes 19 random sets to get there)
    among    n >= 19 and P(Binomial(n, 0.05) >= k) <= 0.05: more than one random set in twenty
             reaches as far
    open     neither is shown: more random sets are needed
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, combinations, product
from typing import Final, Literal, NamedTuple

import numpy as np

from rim_eval.mechanisms.units import Unit, by_layer

__all__ = ["ALPHA", "ENOUGH", "Reading", "count_as_far", "draw_sets", "rank_p", "read_rank"]

ALPHA: Final = 0.05

ENOUGH: Final = 19
"""Fewest random sets from which anything is read: with them `beyond` begins, 1 / (1 + 19) = 0.05."""

Reading = Literal["beyond", "among", "open"]


def count_as_far(value: float, random: Sequence[float]) -> int:
    """K: random values that are at least as large; one that is not a number counts too."""
    return sum(not each < value for each in random)


def rank_p(k: int, n: int) -> float:
    """(1 + k) / (1 + n), the chance of such a rank for one of n + 1 exchangeable sets."""
    return (1 + k) / (1 + n)


def read_rank(k: int, n: int, unknown: int = 0) -> Reading:
    """What k of n random sets reaching as far supports; see the module.

    Args:
        k: Random sets that reach as far; those without a value are among them.
        n: All random sets.
        unknown: Those without a value: they stand against `beyond`, and for nothing.
    """
    from scipy.stats import binom

    if rank_p(k, n) <= ALPHA:
        return "beyond"
    return (
        "among" if n >= ENOUGH and float(binom.sf(k - unknown - 1, n, ALPHA)) <= ALPHA else "open"
    )


class RandomSets(NamedTuple):
    """Distinct random sets, none of which holds a unit of the set that they are drawn for."""

    sets: tuple[tuple[Unit, ...], ...]
    matched: int
    """So many of them, the first, have as many units in each layer as the set itself."""


def draw_sets(
    units: Sequence[tuple[int, int]], widths: Sequence[int], *, draws: int, seed: int = 0
) -> RandomSets:
    """Random sets matched by layer; where layers hold too few, all of those and then from any layer.

    Two heads in layers of four have nine sets beside them, which cannot support a claim that takes
    nineteen; the others are then as many heads of the whole model.

    Args:
        units: The set.
        widths: Units that each layer has.
        draws: How many sets; fewer come back where fewer exist.
        seed: Seed of the choice.
    """
    rng = np.random.default_rng(seed)
    own = by_layer(units)
    free = {layer: _free(layer, own, widths) for layer in range(len(widths))}
    pools = [(free[layer], len(numbers)) for layer, numbers in own.items()]
    matched = _distinct(pools, draws, rng, set())
    whole = list(chain.from_iterable(free.values()))
    rest = _distinct([(whole, len(set(units)))], draws - len(matched), rng, set(matched))
    return RandomSets((*matched, *rest), len(matched))


def _free(layer: int, own: dict[int, list[int]], widths: Sequence[int]) -> list[Unit]:
    taken = set(own.get(layer, ()))
    return [Unit(layer, number) for number in range(widths[layer]) if number not in taken]


def _distinct(
    pools: Sequence[tuple[list[Unit], int]],
    draws: int,
    rng: np.random.Generator,
    known: set[tuple[Unit, ...]],
) -> list[tuple[Unit, ...]]:
    """So many sets that take a number from each pool, none twice and none of the known."""
    there = math.prod(math.comb(len(pool), size) for pool, size in pools)
    if there <= 20 * (draws + len(known)):
        every = [one for one in _every(pools) if one not in known]
        return [every[i] for i in rng.permutation(len(every))[: max(draws, 0)]]
    seen, found = set(known), list[tuple[Unit, ...]]()
    while len(found) < draws:
        one = tuple(
            pool[i]
            for pool, size in pools
            for i in np.sort(rng.choice(len(pool), size, replace=False))
        )
        if one not in seen:
            seen.add(one)
            found.append(one)
    return found


def _every(pools: Sequence[tuple[list[Unit], int]]) -> Iterator[tuple[Unit, ...]]:
    parts = [combinations(pool, size) for pool, size in pools]
    return (tuple(chain.from_iterable(one)) for one in product(*parts))
