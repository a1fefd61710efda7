"""Random controls: random sets of units, and what a comparison with them can support.

A set is compared with n random sets of the same size. When k of them reach at least as far,

    beyond   (1 + k) / (1 + n) <= 0.05: were the set one of them, it would seldom rank so high
             (a permutation test; it takes 19 random sets to get there)
    among    n >= 19 and P(Binomial(n, 0.05) >= k) <= 0.05: more than one random set in twenty
             reaches as far
    open     neither is shown: more random sets are needed

The rank holds where set and random sets are exchangeable. Neurons found by their activation are more
active than others and move more under any drift, so each is replaced by a near one: of the same layer,
with like base figures. The most active have no such neighbours; what is left of the difference is
measured (`RandomSets.balance`), and a change is ranked in two units, as it is and relative to its
neuron's own size: one is even under drift of one size, the other under drift in proportion. So is what
an ablation does: as it is, and relative to how much its units write (`RandomSets.sizes`).
"""

import math
from collections.abc import Sequence
from itertools import chain, combinations, product
from typing import Final, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rim_eval.formatting import p_text
from rim_eval.mechanisms.units import Unit, Units, by_layer, columns_of, units_at
from rim_eval.statistics._result import Figure, Result

ALPHA: Final = 0.05

ENOUGH: Final = 19
"""Fewest random sets that support any verdict: with them `beyond` begins, 1 / (1 + 19) = 0.05."""

NEIGHBOURS: Final = 20
"""Near units of which one is drawn in place of a unit: fewer would repeat themselves in every set."""

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


def settled(k: int, n: int, total: int, unknown: int = 0) -> RankVerdict | None:
    """Tell the verdict after n of `total` random sets, or None while the others can still change it.

    It is the verdict that all of them would have given, so stopping at it changes no error rate.

    Args:
        k: Of the n, those that reach as far or have no value.
        n: Random sets so far.
        total: Random sets that were planned.
        unknown: Of the n, those without a value.
    """
    rest = total - n
    ends = {
        rank_verdict(k, total, unknown),
        rank_verdict(k + rest, total, unknown),
        rank_verdict(k + rest, total, unknown + rest),
    }
    return ends.pop() if len(ends) == 1 else None


class RankTest(Result):
    """A figure of a set of units, and the same figure of each random set."""

    value: Figure
    random: tuple[Figure, ...]
    p_value: Figure
    """(1 + random sets that are at least as large) / (1 + random sets); the larger of two, see `rescaled`."""
    rescaled: "RankTest | None" = None
    """The same in another unit. Both have to say the same; otherwise nothing is shown."""

    @classmethod
    def of(cls, value: float, random: Sequence[float], rescaled: "RankTest | None" = None) -> Self:
        """Rank a value among those of the random sets, in one unit or two."""
        p_value = rank_p_value(count_as_far(value, random), len(random))
        p_value = max(p_value, rescaled.p_value) if rescaled else p_value
        p_value = math.nan if math.isnan(value) else p_value
        return cls(value=value, random=tuple(random), p_value=p_value, rescaled=rescaled)

    @property
    def verdict(self) -> RankVerdict:
        """What the rank supports."""
        return self.settled(len(self.random)) or "open"

    @property
    def as_far(self) -> int:
        """Random sets that are at least as large; one that is not a number counts too."""
        return count_as_far(self.value, self.random)

    def settled(self, total: int) -> RankVerdict | None:
        """Tell what `total` random sets will support, or None while those to come can still change it."""
        if math.isnan(self.value):
            return "open"
        own = settled(self.as_far, len(self.random), total, sum(map(math.isnan, self.random)))
        other = self.rescaled.settled(total) if self.rescaled else own
        if own == other:
            return own
        return None if None in (own, other) and "open" not in (own, other) else "open"

    def text(self, form: str = "{:.3g}") -> str:
        """Say how the set ranks: the largest value of the random sets, in a format, and the rank p."""
        finite = [value for value in self.random if not math.isnan(value)]
        largest = f" at most {form.format(max(finite))}," if finite else ""
        return f"of {len(self.random)} random sets{largest} rank {p_text(self.p_value)}"


class RandomSets(NamedTuple):
    """Distinct random sets; none is the set that they are drawn for."""

    sets: tuple[tuple[Unit, ...], ...]
    matched: int
    """So many of them, the first, have as many units in each layer as the set itself."""
    balance: tuple[float, ...] = ()
    """The set's mean of each covariate over that of all other units drawn; 1 is even."""
    sizes: tuple[float, ...] = ()
    """Of each set the sum of the first covariate, over the set's own; NaN where the set's is 0."""
    spread: float = 1.0
    """How much farther from the mean of the sets the set lies by chance than they do, 1 or more, were
    every unit's effect independent: sets share units with each other, and none with the set."""
    relative_spread: float = 1.0
    """The same of effects in proportion to the first covariate, each over the sum of its set."""


def draw_random_sets(
    units: Units,
    widths: Sequence[int],
    *,
    draws: int,
    seed: int = 0,
    covariates: NDArray[np.floating] | None = None,
    relabel: bool = False,
) -> RandomSets:
    """Draw random sets matched by layer; where layers hold too few, all of those, then of any layer.

    With covariates each unit is replaced by one of the 20 nearest that are left in its layer, by the
    distance between logarithms in standard deviations of the layer. Where units of the set share their
    neighbours, random sets are more like each other than like the set, and the rank errs too often;
    it does not if the units of the set are drawn among their neighbours, too (`relabel`). Two heads in layers of four have
    nine matched sets, which cannot support a claim that takes nineteen; the others are then as many
    heads of the whole model.

    Args:
        units: The set.
        widths: Units that each layer has.
        draws: How many sets; fewer come back where fewer exist.
        seed: Seed of the choice.
        covariates: Base figures of all units, 0 or more, layers one after the other; shape (units, figures).
        relabel: Whether near sets may hold units of the set itself; not for sets that are ablated.
    """
    rng = np.random.default_rng(seed)
    taken = set(map(tuple, units))
    free = [
        [Unit(layer, number) for number in range(width) if (layer, number) not in taken]
        for layer, width in enumerate(widths)
    ]
    pools = [(free[layer], len(numbers)) for layer, numbers in by_layer(units).items()]
    near = None if covariates is None else _Neighbours(units, widths, covariates, draws, relabel)
    own = tuple(Unit(*unit) for unit in sorted(taken))
    matched = _draw_distinct(pools, draws, rng, {own}, near)
    whole = [(list(chain.from_iterable(free)), len(taken))]
    rest = _draw_distinct(whole, draws - len(matched), rng, {own, *matched})
    sets = (*matched, *rest)
    if not sets:
        return RandomSets((), 0)
    columns = [columns_of(each, widths) for each in (own, *sets)]
    spread = _spread([np.full(len(each), 1.0) for each in columns], columns)
    if near is None:
        return RandomSets(sets, len(matched), spread=spread)
    sizes = [near.covariates[each, 0] for each in columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [each / each.sum() for each in sizes]
        ratios = tuple(float(each.sum() / sizes[0].sum()) for each in sizes[1:])
    return RandomSets(
        sets, len(matched), near.balance(sets), ratios, spread, _spread(shares, columns)
    )


def _spread(weights: Sequence[NDArray[np.float64]], columns: Sequence[Sequence[int]]) -> float:
    """Deviation of the first weighted sum from the mean of the others, over theirs; at least 1."""
    numbers, places = np.unique(np.concatenate(columns), return_inverse=True)
    table = np.zeros((len(columns), len(numbers)))
    table[np.repeat(np.arange(len(columns)), [len(each) for each in columns]), places] = (
        np.concatenate(weights)
    )
    n, away = len(table) - 1, ((table - table[1:].mean(0)) ** 2).sum(1)
    theirs = away[1:].sum() / (n - 1) if n > 1 else away[0]
    ratio = float(np.sqrt(away[0] * n / (n + 1) / theirs)) if theirs > 0 else 1.0
    return max(ratio, 1.0)


class _Neighbours:
    """The units of each layer in order of their distance from each unit of a set."""

    def __init__(
        self,
        units: Units,
        widths: Sequence[int],
        covariates: NDArray[np.floating],
        draws: int,
        relabel: bool,
    ) -> None:
        self.widths, self.covariates = widths, np.asarray(covariates, dtype=np.float64)
        self.columns = set(columns_of(units, widths))
        edges = np.cumsum([0, *widths])
        self.order = dict[int, list[int]]()
        enough = 2 * len(self.columns) + 4 * max(draws, NEIGHBOURS)
        for column in sorted(self.columns):
            layer = units_at([column], widths)[0].layer
            first, end = edges[layer : layer + 2]
            here = self.covariates[first:end]
            least = np.maximum(1e-3 * here.mean(0), np.finfo(np.float64).tiny)
            logs = np.log(np.maximum(here, least))
            spread = logs.std(0)
            away = ((logs - logs[column - first]) / np.where(spread > 0, spread, 1)) ** 2
            order = (first + np.argsort(away.sum(1), kind="stable"))[:enough].tolist()
            self.order[column] = [each for each in order if relabel or each not in self.columns]

    def draw(self, rng: np.random.Generator, most: int) -> tuple[Unit, ...]:
        """Replace each unit, in random order, by one of so many nearest other ones that are left."""
        used = set[int]()
        for column in rng.permutation(list(self.order)).tolist():
            left, others = list[int](), 0
            for each in self.order[column]:
                if others == most:
                    break
                if each not in used:
                    left.append(each)
                    others += each not in self.columns
            used.add(left[rng.integers(len(left))])
        return units_at(sorted(used), self.widths)

    def balance(self, sets: Sequence[Units]) -> tuple[float, ...]:
        """Mean of each covariate over that of the other units in the random sets."""
        drawn = chain.from_iterable(columns_of(units, self.widths) for units in sets)
        others = [column for column in drawn if column not in self.columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.covariates[list(self.order)].mean(0) / self.covariates[others].mean(0)
        return tuple(ratio.tolist())


def _draw_distinct(
    pools: Sequence[tuple[list[Unit], int]],
    draws: int,
    rng: np.random.Generator,
    excluded: set[tuple[Unit, ...]],
    near: _Neighbours | None = None,
) -> list[tuple[Unit, ...]]:
    """Draw so many sets that take a number from each pool, none twice and none of the excluded."""
    possible = math.prod(math.comb(len(pool), size) for pool, size in pools)
    if possible <= 20 * (draws + len(excluded)):
        choices = product(*(combinations(pool, size) for pool, size in pools))
        every = [tuple(chain.from_iterable(parts)) for parts in choices]
        every = [units for units in every if units not in excluded]
        return [every[i] for i in rng.permutation(len(every))[: max(draws, 0)]]
    drawn, repeats = dict[tuple[Unit, ...], None](), 0
    while len(drawn) < draws:
        if near:
            # Small sets have few such neighbours: where draws repeat themselves, more are taken.
            units = near.draw(rng, NEIGHBOURS << repeats // NEIGHBOURS)
        else:
            picks = [np.sort(rng.choice(len(pool), size, replace=False)) for pool, size in pools]
            units = tuple(
                pool[i] for (pool, _), pick in zip(pools, picks, strict=True) for i in pick
            )
        repeats += units in drawn
        if units not in excluded:
            drawn[units] = None
    return list(drawn)
