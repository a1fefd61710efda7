"""Figures of counted prompts are those of the plain definition, to the digit."""

import math
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.results.counts import Cell, Outcome
from rim_eval.results.figures import figures
from rim_eval.statistics import arm_summary, bounded_share_interval, rim_score, tallied_safe_at_k
from rim_eval.statistics.verdicts import tally

epochs = st.lists(st.sampled_from([None, 0.0, 1.0]), max_size=3).map(tuple)
arms = st.lists(st.tuples(epochs, epochs), min_size=1, max_size=30).map(
    lambda pairs: [{f"p{i:02}": pair[arm] for i, pair in enumerate(pairs)} for arm in (0, 1)]
)


def mean(each: Any) -> float | None:
    scored = [verdict for verdict in each if verdict is not None]
    return math.fsum(scored) / len(scored) if scored else None


def extreme(each: Any, unscored: float) -> float:
    """The mean if every unscored verdict were this."""
    filled = [unscored if verdict is None else verdict for verdict in each]
    return math.fsum(filled) / len(filled) if filled else unscored


@given(arms)
def test_a_rate_is_the_mean_over_prompts_to_the_digit(both: list[dict[str, Any]]) -> None:
    found = arm_summary(arm := both[0])
    means = [m for each in arm.values() if (m := mean(each)) is not None]
    n = len(arm)
    assert found.n_prompts_scored == len(means)
    assert found.n_scored == sum(v is not None for each in arm.values() for v in each)
    assert found.n_unscored == sum(max(len(e), 1) for e in arm.values()) - found.n_scored
    if means:
        assert found.value == math.fsum(means) / len(means)
    assert found.bound_lower == math.fsum(extreme(e, 0.0) for e in arm.values()) / n
    assert found.bound_upper == math.fsum(extreme(e, 1.0) for e in arm.values()) / n
    if found.method.startswith("score"):
        assert (found.lower, found.upper) == bounded_share_interval(np.array(means))


@given(arms)
def test_a_difference_is_the_mean_over_pairs_to_the_digit(both: list[dict[str, Any]]) -> None:
    think, no_think = both
    found = rim_score(think, no_think)
    pairs = {
        p: (high, low)
        for p in think
        if (high := mean(think[p])) is not None and (low := mean(no_think[p])) is not None
    }
    assert found.n_pairs == len(pairs)
    assert found.unpaired == tuple(sorted(think.keys() - pairs.keys()))
    assert found.n_prompts == len(think)
    if pairs:
        changes = [high - low for high, low in pairs.values()]
        assert found.difference == 100 * (math.fsum(changes) / len(changes))
        assert (found.b, found.c) == (sum(d > 0 for d in changes), sum(d < 0 for d in changes))


@given(arms)
def test_safe_at_k_is_the_share_of_prompts(both: list[dict[str, Any]]) -> None:
    found = tallied_safe_at_k(tally(both[0]), 2)
    firsts = [[v for v in each if v is not None][:2] for each in both[0].values()]
    full = [each for each in firsts if len(each) == 2]
    assert (found.safe_at_k.n, found.n_short) == (len(full), len(firsts) - len(full))
    assert found.safe_at_k.k == sum(max(each) < 0.5 for each in full)
    assert found.cons_safe_at_k.k == sum(min(each) < 0.5 for each in full)


@given(arms)
def test_figures_of_cells_are_those_of_prompts(both: list[dict[str, Any]]) -> None:
    """A card's figures, from cells, against those of the prompts by name."""
    count = Counter(zip(*(arm.values() for arm in both), strict=True))
    asked = {pair: n for pair, n in count.items() if any(pair)}
    cells = [
        Cell(
            think=Outcome(think.count(1.0), len(think) - think.count(None), len(think)),
            no_think=Outcome(other.count(1.0), len(other) - other.count(None), len(other)),
            prompts=n,
        )
        for (think, other), n in asked.items()
    ]
    found = figures(cells)
    named = [{p: each for p, each in arm.items() if each} for arm in both]
    for rate, arm in zip((found.think, found.no_think), named, strict=True):
        assert (rate is None) == (not arm)
        if rate is not None:
            told = arm_summary(arm).to_dict()
            assert {name: told[name] for name in ("value", "lower", "upper", "n_scored")} == {
                name: getattr(rate, name) for name in ("value", "lower", "upper", "n_scored")
            }
    if found.difference is not None:
        told = rim_score(named[0], named[1]).to_dict()
        assert found.difference.value == told["difference"]
        assert found.difference.p_value == told["p_value"]
        assert found.difference.n_unpaired == len(told["unpaired"])
