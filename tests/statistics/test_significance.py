"""The one rule for what a difference shows: the interval, with which its test never disagrees."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.statistics import (
    bounded_mean_interval,
    bounded_mean_test,
    mcnemar_exact,
    mcnemar_score,
    rim_score,
    significance,
    tango_interval,
)

LEVELS = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])


@pytest.mark.parametrize(
    ("lower", "upper", "says"),
    [
        (1.0, 5.0, "more"),
        (-5.0, -1.0, "less"),
        (-1.0, 5.0, "includes_zero"),
        (0.0, 5.0, "includes_zero"),
        (None, None, "unknown"),
        (math.nan, math.nan, "unknown"),
    ],
)
def test_rule(lower: float, upper: float, says: str) -> None:
    assert significance(lower, upper) == says


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400), LEVELS)
def test_tangos_interval_and_its_test_agree(b: int, c: int, same: int, level: float) -> None:
    interval = tango_interval(b, c, b + c + same, level)
    shown = significance(*interval) in ("more", "less")
    assert shown == (mcnemar_score(b, c) <= 1 - level)


@settings(max_examples=60)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=60), st.sampled_from([6, 9, 60]), LEVELS)
def test_interval_of_a_mean_and_its_test_agree(values: list[int], reach: int, level: float) -> None:
    interval = bounded_mean_interval(values, reach=reach, level=level)
    shown = significance(*interval) in ("more", "less")
    assert shown == (bounded_mean_test(values, reach=reach) <= 1 - level)


def test_a_mean_that_is_nearly_all_at_one_end() -> None:
    """There the missing mass lies at the other end of the range, beyond every value seen."""
    for values in ([1.0] * 3, [1.0] * 30, [1.0] * 30 + [0.5], [0.5] * 5, [1.0, 0.5]):
        interval = bounded_mean_interval(values, reach=1.0)
        assert (interval.lower > 0) == (bounded_mean_test(values, reach=1.0) <= 0.05)
        turned = bounded_mean_test([-value for value in values], reach=1.0)
        assert turned == pytest.approx(bounded_mean_test(values, reach=1.0))


def test_a_mean_without_values_or_with_one_has_no_test() -> None:
    assert math.isnan(bounded_mean_test([], reach=1.0))
    assert bounded_mean_test([0.5], reach=1.0) == 1.0
    assert bounded_mean_test([0.0, 0.0], reach=1.0) == 1.0


def test_the_exact_test_stands_beside_and_decides_nothing() -> None:
    """11 pairs against 3 of 100: the interval is above zero, the exact test says p = 0.057."""
    cells = [(1, 0)] * 11 + [(0, 1)] * 3 + [(0, 0)] * 86
    think, no_think = ({f"p{i}": [cell[arm]] for i, cell in enumerate(cells)} for arm in (0, 1))
    found = rim_score(think, no_think)
    assert found.p_value == mcnemar_score(11, 3) == pytest.approx(0.0325, abs=1e-4)
    assert found.permutation_p_value == mcnemar_exact(11, 3) == pytest.approx(0.0574, abs=1e-4)
    assert significance(found.lower, found.upper) == "more"


def test_several_epochs_agree_too() -> None:
    rng = np.random.default_rng(8)
    for _ in range(40):
        n, high, low = rng.integers(5, 40), rng.uniform(0, 0.6), rng.uniform(0, 0.6)
        arms = [{f"p{i}": list(rng.binomial(1, rate, 3)) for i in range(n)} for rate in (high, low)]
        found = rim_score(arms[0], arms[1])
        shown = significance(found.lower, found.upper) in ("more", "less")
        assert shown == (found.p_value <= 0.05)
