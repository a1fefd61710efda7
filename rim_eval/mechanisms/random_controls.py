"""Random controls: random sets of units, and what a comparison with them can support.

A set is compared with n random sets of the same size. When k of them reach at least as far,

    beyond   (1 + k) / (1 + n) <= 0.05: were the set one of them, it would seldom rank so high
             (a permutation test; it takes 19 random sets to get there)
    among    n >= 19 and P(Binomial(n, 0.05) >= k) <= 0.05: more than one random set in twenty
             reaches as far
    open     neither is shown: more random sets are needed
"""

import math
from collections.abc import Sequence
from itertools import chain, combinations, product
from typing import Final, Literal, NamedTuple, Self

import numpy as np

from rim_eval.formatting import p_text
from rim_eval.mechanisms.units import Unit, Units, by_layer
from rim_eval.statistics._result import Figure, Result

ALPHA: Final = 0.05

ENOUGH: Final = 19
"""Fewest random sets that support any verdict: with them `beyond` begins, 1 / (1 + 19) = 0.05."""

RankVerdict = Literal["beyond", "among", "open"]


def count_as_far(value: float, random: Sequence[float]) -> int:
    """Count k: random values that are at least as large; one that is not a number counts too."""
    return sum(not each < value for each in random)


def rank_p_value(k: int, n: int) -> float:
    """(1 + k) / (1 + n), the chance of such a rank for one of n + 1 exchangeable sets."""
    return (1 + k) / (1 + n)


def rank_verdict(k: int, n: int, unknown: int = 0) -> RankVerdict:
    """Tell what k of n random sets reaching as far supports; see the module.

    Args:
        k: Random sets that reach as far; those without a value are among them.
        n: All random sets.
        unknown: Those without a value: they stand against `beyond`, and for nothing.
    """
    from scipy.stats import binom

    if rank_p_value(k, n) <= ALPHA:
        return "beyond"
    is_among = n >= ENOUGH and float(binom.sf(k - unknown - 1, n, ALPHA)) <= ALPHA
    return "among" if is_among else "open"


class RankTest(Result):
    """A figure of a set of units, and the same figure of each random set."""

    value: Figure
    random: tuple[Figure, ...]
    p_value: Figure
    """(1 + random sets that are at least as large) / (1 + random sets)."""

    @classmethod
    def of(cls, value: float, random: Sequence[float]) -> Self:
        """Rank a value among those of the random sets."""
        p_value = rank_p_value(count_as_far(value, random), len(random))
        p_value = math.nan if math.isnan(value) else p_value
        return cls(value=value, random=tuple(random), p_value=p_value)

    @property
    def as_far(self) -> int:
        """Random sets that reach at least as far."""
        return count_as_far(self.value, self.random)

    @property
    def verdict(self) -> RankVerdict:
        """What the rank supports."""
        if math.isnan(self.value):
            return "open"
        return rank_verdict(self.as_far, len(self.random), sum(map(math.isnan, self.random)))

    def text(self, form: str = "{:.3g}") -> str:
        """Say how the set ranks: the largest value of the random sets, in a format, and the rank p."""
        finite = [value for value in self.random if not math.isnan(value)]
        largest = f" at most {form.format(max(finite))}," if finite else ""
        return f"of {len(self.random)} random sets{largest} rank {p_text(self.p_value)}"


class RandomSets(NamedTuple):
    """Distinct random sets, none of which holds a unit of the set that they are drawn for."""

    sets: tuple[tuple[Unit, ...], ...]
    matched: int
    """So many of them, the first, have as many units in each layer as the set itself."""


def draw_random_sets(
    units: Units, widths: Sequence[int], *, draws: int, seed: int = 0
) -> RandomSets:
    """Draw random sets matched by layer; where layers hold too few, all of those, then of any layer.

    Two heads in layers of four have nine matched sets, which cannot support a claim that takes
    nineteen; the others are then as many heads of the whole model.

    Args:
        units: The set.
        widths: Units that each layer has.
        draws: How many sets; fewer come back where fewer exist.
        seed: Seed of the choice.
    """
    rng = np.random.default_rng(seed)
    taken = set(map(tuple, units))
    free = [
        [Unit(layer, number) for number in range(width) if (layer, number) not in taken]
        for layer, width in enumerate(widths)
    ]
    pools = [(free[layer], len(numbers)) for layer, numbers in by_layer(units).items()]
    matched = _draw_distinct(pools, draws, rng, set())
    whole = [(list(chain.from_iterable(free)), len(taken))]
    rest = _draw_distinct(whole, draws - len(matched), rng, set(matched))
    return RandomSets((*matched, *rest), len(matched))


def _draw_distinct(
    pools: Sequence[tuple[list[Unit], int]],
    draws: int,
    rng: np.random.Generator,
    excluded: set[tuple[Unit, ...]],
) -> list[tuple[Unit, ...]]:
    """Draw so many sets that take a number from each pool, none twice and none of the excluded."""
    possible = math.prod(math.comb(len(pool), size) for pool, size in pools)
    if possible <= 20 * (draws + len(excluded)):
        choices = product(*(combinations(pool, size) for pool, size in pools))
        every = [tuple(chain.from_iterable(parts)) for parts in choices]
        every = [units for units in every if units not in excluded]
        return [every[i] for i in rng.permutation(len(every))[: max(draws, 0)]]
    drawn = dict[tuple[Unit, ...], None]()
    while len(drawn) < draws:
        picks = [np.sort(rng.choice(len(pool), size, replace=False)) for pool, size in pools]
        units = tuple(pool[i] for (pool, _), pick in zip(pools, picks, strict=True) for i in pick)
        if units not in excluded:
            drawn[units] = None
    return list(drawn)
