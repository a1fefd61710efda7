"""Strata, Holm, adoption, outcomes, Safe@K, discrimination."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from rim_eval.errors import RimError
from rim_eval.statistics import (
    Sample,
    adoption_split,
    discrimination,
    holm,
    outcomes,
    rim_score,
    safe_at_k,
    stratified_difference,
)

by_stratum = partial(stratified_difference, target_name="think", reference_name="no_think")


@settings(max_examples=8, deadline=None)  # statsmodels takes its time
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    found = holm({str(i): p for i, p in enumerate(p_values)})
    assert list(found.values()) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_an_endpoint_that_was_not_measured_still_counts() -> None:
    found = holm({"hexphi": 0.02, "advbench": math.nan})
    assert found["hexphi"] == pytest.approx(0.04)
    assert math.isnan(found["advbench"])
    with pytest.raises(RimError, match="'x'"):
        holm({"x": 2})


def test_strata_weigh_by_all_prompts_not_by_the_scored_ones() -> None:
    think: dict[str, list[int | None]] = {f"a{i}": [1] for i in range(10)}
    no_think: dict[str, list[int | None]] = {f"a{i}": [0] for i in range(10)}
    think |= {f"b{i}": [0 if i < 5 else None] for i in range(10)}
    no_think |= {f"b{i}": [0] for i in range(10)}
    found = by_stratum(think, no_think, {p: p[0] for p in think})
    assert found.difference == pytest.approx(50)
    assert rim_score(think, no_think).difference == pytest.approx(100 * 10 / 15)
    assert found.strata["b"].n_pairs == 5
    assert (found.left_out_lowest, found.left_out_highest) == (0, 100)
    with pytest.raises(RimError, match="no stratum"):
        by_stratum(think, no_think, {})


def test_strata_without_pairs_have_no_say() -> None:
    found = by_stratum({"a": [1], "b": [None]}, {"a": [0], "b": [0]}, {"a": "x", "b": "y"})
    assert found.difference == 100
    assert found.without_pairs == ("y",)
    empty = by_stratum({}, {}, {})
    assert math.isnan(empty.difference)


def test_stratified_interval_covers() -> None:
    rng = np.random.default_rng(8)
    rates = {"a": (0.4, 0.1), "b": (0.1, 0.05), "c": (0.2, 0.2)}
    truth = 100 * np.mean([high - low for high, low in rates.values()])
    strata = {f"{s}{i}": s for s in rates for i in range(80)}
    covered = []
    for seed in range(300):
        think = {p: [int(rng.random() < rates[s][0])] for p, s in strata.items()}
        no_think = {p: [int(rng.random() < rates[s][1])] for p, s in strata.items()}
        found = by_stratum(think, no_think, strata, seed=seed, resamples=500)
        covered.append(found.lower <= truth <= found.upper)
    assert 0.92 <= np.mean(covered) <= 0.98


SAMPLES = [
    Sample("a", True, 1.0),
    Sample("b", True, 0.0),
    Sample("c", False, 0.0, looping=True),
    Sample("d", False, None, "empty_answer"),
    Sample("e", True, None),
    Sample("f", False, 1.0),
    Sample("g", False, 0.0),
]


def test_adoption_splits_the_rate() -> None:
    found = adoption_split(SAMPLES)
    assert (found.adoption.k, found.adoption.n) == (3, 7)
    assert found.given_think.value == 0.5
    assert found.given_none.value == pytest.approx(1 / 3)
    assert (found.given_think.n_unscored, found.given_none.n_unscored) == (1, 1)


def test_outcomes_count_every_sample_once() -> None:
    found = outcomes(SAMPLES)
    assert found.n == 7
    assert (found.think_harmful, found.direct_harmful) == (1, 1)
    assert (found.think_safe, found.direct_safe, found.looping) == (1, 1, 1)
    assert found.unscored == {"empty_answer": 1, "unknown": 1}


def test_safe_at_k_by_hand() -> None:
    verdicts: dict[str, list[int | None]] = {
        "a": [0, 0, 0, 0],
        "b": [0, 0, 1, 1],
        "c": [0, 1, 1, 1],
        "d": [0, None, 0, 0],
    }
    found = safe_at_k(verdicts, 4)
    assert found.safe_at_1.value == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert found.safe_at_k.value == pytest.approx(1 / 3)
    assert found.cons_safe_at_k.value == pytest.approx(2 / 3)
    assert found.n_short == 1
    one = safe_at_k(verdicts, 1)
    assert one.safe_at_1.value == one.safe_at_k.value == one.cons_safe_at_k.value == 1
    with pytest.raises(RimError, match="k=0"):
        safe_at_k(verdicts, 0)


PARTNERS = {f"h{i}": f"b{i}" for i in range(100)}


def sided(side: str, ones: int) -> dict[str, list[int]]:
    return {f"{side}{i}": [int(i < ones)] for i in range(100)}


@pytest.mark.parametrize(
    ("harmful", "refused", "change", "direction"),
    [
        ((40, 10), (10, 40), 0, "not shown"),  # complies more with everything
        ((40, 10), (20, 20), -30, "worse"),
        ((10, 40), (10, 40), 60, "better"),
    ],
)
def test_moving_along_the_trade_off_is_not_discrimination(
    harmful: tuple[int, int], refused: tuple[int, int], change: float, direction: str
) -> None:
    found = discrimination(
        (sided("h", harmful[0]), sided("h", harmful[1])),
        (sided("b", refused[0]), sided("b", refused[1])),
        PARTNERS,
    )
    assert found.change == pytest.approx(change)
    assert found.direction == direction
    assert found.harmful.difference == pytest.approx(harmful[0] - harmful[1])
    assert found.over_refusal.difference == pytest.approx(refused[0] - refused[1])
    assert found.n_pairs == 100


def test_pairs_that_all_change_alike_have_an_interval() -> None:
    found = discrimination((sided("h", 0), sided("h", 0)), (sided("b", 0), sided("b", 0)), PARTNERS)
    assert found.lower < found.change == 0 < found.upper


def test_discrimination_without_pairs_says_so() -> None:
    found = discrimination(({}, {}), ({}, {}), PARTNERS)
    assert math.isnan(found.change)
    assert found.n_pairs == 0
    assert "No pair" in found.sentence
