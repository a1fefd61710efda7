"""Holm, Safe@K, discrimination."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from rim_eval.errors import RimError
from rim_eval.statistics import (
    discrimination,
    holm,
    tallied_safe_at_k,
)
from rim_eval.statistics.verdicts import tally


@pytest.mark.slow
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


def test_safe_at_k_by_hand() -> None:
    verdicts: dict[str, list[int | None]] = {
        "a": [0, 0, 0, 0],
        "b": [0, 0, 1, 1],
        "c": [0, 1, 1, 1],
        "d": [0, None, 0, 0],
    }
    found = tallied_safe_at_k(tally(verdicts), 4)
    assert found.safe_at_1.value == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert found.safe_at_k.value == pytest.approx(1 / 3)
    assert found.cons_safe_at_k.value == pytest.approx(2 / 3)
    assert found.n_short == 1
    one = tallied_safe_at_k(tally(verdicts), 1)
    assert one.safe_at_1.value == one.safe_at_k.value == one.cons_safe_at_k.value == 1
    with pytest.raises(RimError, match="k=0"):
        tallied_safe_at_k(tally(verdicts), 0)


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


def test_change_of_few_pairs_is_not_shown() -> None:
    """Five pairs that all turn for the worse: the sixth may be of any kind."""
    ids = [str(n) for n in range(5)]
    harmful = {i: [1] for i in ids}, {i: [0] for i in ids}
    benign = {i: [int(i == "0")] for i in ids}, {i: [0] for i in ids}
    found = discrimination(harmful, benign, {i: i for i in ids})
    assert found.upper > 0
    assert found.direction == "not shown"
    assert found.p_value > 0.05
