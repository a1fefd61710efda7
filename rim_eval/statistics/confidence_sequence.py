"""Confidence sequence for the mean of one bounded value a prompt: intervals that hold at every look at once.

A run that may stop when its result is clear looks at its figures again and again. An interval of fixed size covers at one
look that was chosen beforehand; here the probability that *any* of the intervals at n = 1, 2, 3, ... misses the mean is at
most 1 - level, so a run may stop at any of them, for whatever reason, also one that depends on later prompts.

Somebody bets on each prompt's value x (from lo to hi) against the claim that the mean is m. With r = (m - lo) / (hi - lo),
a = (x - lo) / (hi - lo) and a constant bet p from 0 to 1, a unit of wealth becomes

    p a / r + (1 - p) (1 - a) / (1 - r)  =  1 + l (x - m),   l from -1 / (hi - m) to 1 / (m - lo),

whose expectation is 1 if the claim is true. The wealth after n prompts is the mixture over all bets,

    K_n(m) = integral over p of the product over prompts, dBeta(1/2, 1/2)(p)    (Cover's universal portfolio),

a martingale under the claim, and by Ville's inequality P(K_n(m) >= 1 / alpha at any n) <= alpha. The sequence holds every
m with K_n(m) < 1 / alpha. As every bet is constant, K_n does not depend on the order of the prompts: it follows from counts.

The interval: for every p a factor is a sum of multiples of 1 / r and 1 / (1 - r), which are log-convex in m, and sums,
products and mixtures of log-convex functions are log-convex: so the set is an interval. At the mean of the values each
product is at most 1 (arithmetic and geometric mean), so the mean is inside, and each end is one root. K_n is a polynomial
of degree n in p, so Gauss-Chebyshev nodes integrate it exactly up to 2 x nodes - 1 prompts.

The p value min(1, 1 / K_n(0)) is valid at every look too, and at most alpha exactly when the interval leaves 0 out. For
pairs that are -1, 0 or 1, K_n(0) = 2^(b+c) B(b + 1/2, c + 1/2) / B(1/2, 1/2): a sequential sign test.

Assumptions: the prompts' values are drawn independently from one population, or exchangeable prompts come in random order;
each lies within lo..hi. No distribution is assumed. An order that is stratified by category makes the expectation of
the next value depend on its category; over whole rounds the wealth does not grow (the same inequality of means), within a
round it may a little, which `benchmarks/early_stopping.py` measures. Prompts without a verdict are left out, as in all figures.

The price: at one look the interval is wider than one of fixed size, about 1.7 times at 300 prompts.

Sources: J. Ville, Etude critique de la notion de collectif (1939); T. M. Cover, Mathematical Finance 1 (1991) 1-29; I.
Waudby-Smith and A. Ramdas, JRSS B 86 (2024) 1-27 (arXiv 2010.09686), section 4; F. Orabona and K.-S. Jun, IEEE
Trans. Inf. Theory 70 (2024) 436-455 (arXiv 2110.14099), sections 3 and 5.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rim_eval.errors import RimError
from rim_eval.statistics._result import Interval, z_score
from rim_eval.statistics.arm import ArmSummary, tallied_arm_summary
from rim_eval.statistics.paired import PairedDifference, tallied_difference
from rim_eval.statistics.verdicts import Tally, mean_verdict

METHOD: Final = "confidence sequence (universal portfolio)"
TEST: Final = "betting test, valid at every look"

_MOST_NODES: Final = 1024
_EDGE: Final = 1e-12
"""Distance from either end of the range, as a share of it, within which no root is looked for."""


def log_wealth(
    values: ArrayLike, counts: ArrayLike, mean: float, *, low: float, high: float
) -> NDArray[np.float64]:
    """Logarithm of the wealth K_n(mean) of the mixture of bets against a mean.

    Args:
        values: Distinct values, shape (values,), each within low..high.
        counts: How many prompts have each; shape (..., values), so that many looks are taken at once.
        mean: The mean that is bet against.
        low: The least value that a prompt can have.
        high: The largest.

    Returns:
        Shape (...); log(1 / alpha) and more rejects the mean at the level 1 - alpha.
    """
    numbers = np.asarray(counts, dtype=float)
    upper = (np.asarray(values, dtype=float) - low) / (high - low)
    share = min(max((mean - low) / (high - low), _EDGE), 1 - _EDGE)
    bets = _bets(_nodes(numbers.sum(axis=-1).max(initial=0)))
    factors = bets * upper[:, None] / share + (1 - bets) * (1 - upper[:, None]) / (1 - share)
    logs = numbers @ np.log(factors)
    highest = logs.max(axis=-1, keepdims=True)
    wealth = highest[..., 0] + np.log(np.exp(logs - highest).mean(axis=-1))
    return np.asarray(wealth, dtype=np.float64)


def _nodes(prompts: float) -> int:
    """Nodes that integrate the wealth exactly, to a most that leaves it smooth; few distinct numbers, for the cache."""
    return min(32 * (int(prompts) // 64 + 1), _MOST_NODES)


@lru_cache(maxsize=64)
def _bets(nodes: int) -> NDArray[np.float64]:
    """Gauss-Chebyshev nodes on 0..1, whose mean integrates over Beta(1/2, 1/2); shape (nodes,)."""
    angles = (2 * np.arange(nodes) + 1) * math.pi / (4 * nodes)
    return np.cos(angles) ** 2


def confidence_sequence(
    prompts: Mapping[float, int], *, low: float, high: float, level: float = 0.95
) -> Interval:
    """The confidence sequence's interval at this look, in the unit of the values.

    Args:
        prompts: How many prompts have each value; all within low..high.
        low: The least value that a prompt can have.
        high: The largest, above it.
        level: Confidence over all looks together, a fraction.

    Returns:
        Both ends; the whole range without prompts.

    Raises:
        RimError: A value is outside the range, or the level is not in (0, 1).
    """
    z_score(level)
    outside = [value for value in prompts if not low <= value <= high]
    if outside:
        raise RimError(
            f"A value of {outside[0]:g} is outside the range of {low:g} to {high:g}: give the least and the largest "
            "value that a prompt can have as `low` and `high`."
        )
    if not sum(prompts.values()):
        return Interval(low, high)
    values, counts = np.array(sorted(prompts.items())).T
    mean = float(values @ counts) / float(counts.sum())

    def excess(m: float) -> float:
        return float(log_wealth(values, counts, m, low=low, high=high)) + math.log(1 - level)

    margin = _EDGE * (high - low)
    ends = (low, low + margin), (high, high - margin)
    return Interval(*(_root(excess, mean, end, inner) for end, inner in ends))


def _root(excess: Callable[[float], float], mean: float, end: float, inner: float) -> float:
    """Where the wealth reaches the limit between the mean and an end of the range; the end where it never does."""
    if abs(mean - end) <= abs(inner - end) or excess(inner) <= 0:
        return end
    from scipy.optimize import brentq

    return float(brentq(excess, *sorted((mean, inner)), xtol=1e-12))


def sequential_p(prompts: Mapping[float, int], mean: float, *, low: float, high: float) -> float:
    """Two-sided p value for a mean that is valid at every look: min(1, 1 / K_n(mean)).

    Args:
        prompts: How many prompts have each value.
        mean: The mean under the null hypothesis, within low..high.
        low: The least value that a prompt can have.
        high: The largest.

    Returns:
        A number from 0 to 1; 1 without prompts.
    """
    if not prompts:
        return 1.0
    values, counts = np.array(sorted(prompts.items())).T
    return math.exp(min(0.0, -float(log_wealth(values, counts, mean, low=low, high=high))))


def sequential_difference(
    prompts: Tally, *, target_name: str, reference_name: str, level: float = 0.95
) -> PairedDifference:
    """`tallied_difference` of a run that could stop early: its interval and p value hold at every look.

    Args:
        prompts: Two arms, the target and the reference; their verdicts are in 0..1.
        target_name: What the target arm is, for the record.
        reference_name: What the reference is.
        level: Confidence over all looks together, a fraction.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    fixed = tallied_difference(
        prompts, target_name=target_name, reference_name=reference_name, level=level
    )
    changes = Counter[float]()
    for (target, reference), n in prompts.items():
        high, low = mean_verdict(target), mean_verdict(reference)
        if high is not None and low is not None:
            changes[round(high - low, 12)] += n
    if not changes:
        return fixed
    interval = confidence_sequence(changes, low=-1.0, high=1.0, level=level)
    sequential = {
        "lower": 100 * interval.lower,
        "upper": 100 * interval.upper,
        "interval_method": METHOD,
        "p_value": sequential_p(changes, 0.0, low=-1.0, high=1.0),
        "test_method": TEST,
        # A test of fixed size says nothing of a run that was looked at before.
        "permutation_p_value": math.nan,
        "permutation_method": "none: the run could stop early",
    }
    return fixed.model_copy(update=sequential)


def sequential_arm_summary(prompts: Tally, level: float = 0.95) -> ArmSummary:
    """`tallied_arm_summary` of a run that could stop early: its interval holds at every look.

    Args:
        prompts: One arm; its verdicts are in 0..1.
        level: Confidence over all looks together, a fraction.

    Raises:
        RimError: If the level is not in (0, 1).
    """
    fixed = tallied_arm_summary(prompts, level)
    means = Counter[float]()
    for (epochs,), n in prompts.items():
        if (mean := mean_verdict(epochs)) is not None:
            means[round(mean, 12)] += n
    if not means:
        return fixed
    interval = confidence_sequence(means, low=0.0, high=1.0, level=level)
    return fixed.model_copy(update={**interval._asdict(), "method": METHOD})
