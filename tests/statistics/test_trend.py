"""The trend over ordered arms, its interval and its tests."""

import math
from collections import Counter
from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.trend_coverage import Setting, simulate
from rim_eval.errors import RimError
from rim_eval.statistics import (
    Tally,
    Trend,
    bounded_mean_interval,
    mcnemar_exact,
    order_permutation_test,
    paired_difference,
    paired_trend,
    rate,
    sign_flip_test,
    tallied_trend,
    tango_interval,
)
from rim_eval.statistics.trend import slope_weights

NORMAL = 1.959963984540054
NAMES = ("off", "low", "middle", "high", "full")

verdict = st.sampled_from([0.0, 0.5, 1.0, None])
arm = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(verdict, max_size=3), max_size=8)
single = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sampled_from([[0], [1], [None]]), max_size=8
)
complete = st.lists(
    st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=2), min_size=4, max_size=4),
    min_size=1,
    max_size=10,
)


def named(*arms: Any) -> dict[str, Any]:
    return dict(zip(NAMES, arms, strict=False))


def of_blocks(blocks: list[Any]) -> dict[str, Any]:
    """Arms from one list of arms a prompt."""
    return named(
        *({f"p{i:02}": block[j] for i, block in enumerate(blocks)} for j in range(len(blocks[0])))
    )


def shape(found: Trend) -> list[float]:
    return [found.trend, found.lower, found.upper, found.bound_lower, found.bound_upper]


def test_slope_by_hand() -> None:
    """Two prompts, four arms at 0, 1/3, 2/3, 1: least squares by numpy."""
    blocks: list[list[float]] = [[0, 0, 1, 1], [1, 0.5, 1, 0]]
    found = paired_trend(of_blocks([[[v] for v in block] for block in blocks]))
    slopes = [np.polyfit([0, 1 / 3, 2 / 3, 1], block, 1)[0] for block in blocks]
    assert found.trend == pytest.approx(100 * np.mean(slopes))
    assert found.arms == NAMES[:4]
    assert found.scores == pytest.approx((0, 1 / 3, 2 / 3, 1))
    assert [rate.value for rate in found.rates] == [0.5, 0.25, 1.0, 0.5]
    assert (found.n_blocks, found.n_prompts, found.unpaired) == (2, 2, ())


@settings(max_examples=60)
@given(arm, arm)
def test_two_arms_are_the_paired_difference(first: Any, second: Any) -> None:
    trend = paired_trend({"off": first, "full": second}, seed=3)
    pair = paired_difference(second, first, target_name="full", reference_name="off", seed=3)
    for name in ("lower", "upper", "p_value", "interval_method", "test_method", "unpaired"):
        assert trend.to_dict()[name] == pair.to_dict()[name]
    assert trend.to_dict()["trend"] == pair.to_dict()["difference"]
    assert [rate.value for rate in trend.rates] == pytest.approx(
        [pair.reference_rate, pair.target_rate], nan_ok=True
    )
    assert (trend.n_blocks, trend.n_prompts) == (pair.n_pairs, pair.n_prompts)
    assert (trend.bound_lower, trend.bound_upper) == pytest.approx(
        (pair.bound_lower, pair.bound_upper), nan_ok=True
    )


@settings(max_examples=60)
@given(single, single, single)
def test_of_three_equal_steps_the_middle_has_no_weight(first: Any, middle: Any, last: Any) -> None:
    found = paired_trend(named(first, middle, last))
    keep = {p for p in first if all(arm.get(p, [None]) != [None] for arm in (first, middle, last))}
    pair = paired_difference(
        {p: last[p] for p in keep},
        {p: first[p] for p in keep},
        target_name="last",
        reference_name="first",
    )
    assert found.n_blocks == len(keep)
    assert found.trend == pytest.approx(pair.difference, nan_ok=True)
    if keep:
        assert found.permutation_p_value == pytest.approx(mcnemar_exact(pair.b, pair.c))


@settings(max_examples=60)
@given(complete, st.sampled_from([None, (0, 1, 2, 5)]))
def test_reversing_the_arms_turns_the_sign(blocks: Any, scores: Any) -> None:
    arms = of_blocks(blocks)
    back = {name: arms[name] for name in reversed(arms)}
    one = paired_trend(arms, scores=scores)
    other = paired_trend(back, scores=scores and [-score for score in reversed(scores)])
    turned = [-other.trend, -other.upper, -other.lower, -other.bound_upper, -other.bound_lower]
    assert shape(one) == pytest.approx(turned, abs=1e-6)
    if scores is None:
        assert one.p_value == pytest.approx(other.p_value)


@settings(max_examples=60)
@given(complete, st.randoms(), st.sampled_from([None, (0, 1, 2, 5)]))
def test_names_and_order_of_prompts_do_not_matter(blocks: Any, random: Any, scores: Any) -> None:
    found = paired_trend(of_blocks(blocks), scores=scores)
    random.shuffle(blocks)
    again = paired_trend(of_blocks(blocks), scores=scores)
    assert found.to_dict() == again.to_dict()


@settings(max_examples=60)
@given(complete)
def test_without_gaps_the_bounds_are_the_trend_and_the_interval_holds_it(blocks: Any) -> None:
    found = paired_trend(of_blocks(blocks))
    assert found.bound_lower == pytest.approx(found.trend, abs=1e-9)
    assert found.bound_upper == pytest.approx(found.trend, abs=1e-9)
    assert found.lower - 1e-9 <= found.trend <= found.upper + 1e-9
    assert Trend.model_validate(found.to_dict()) == found


@settings(max_examples=60)
@given(arm, arm, arm, arm, st.data())
def test_bounds_hold_whatever_the_unscored_were(
    a: Any, b: Any, c: Any, d: Any, data: st.DataObject
) -> None:
    arms = named(a, b, c, d)
    prompts = set().union(*arms.values())
    found = paired_trend(arms)
    filled = {
        name: {
            prompt: [
                data.draw(st.sampled_from([0, 0.5, 1])) if v is None else v
                for v in (each.get(prompt) or [None])
            ]
            for prompt in prompts
        }
        for name, each in arms.items()
    }
    if prompts:
        whole = paired_trend(filled)
        assert found.bound_lower - 1e-9 <= whole.trend <= found.bound_upper + 1e-9
        assert whole.n_blocks == found.n_prompts == len(prompts)


def test_prompts_that_an_arm_lacks_are_listed_and_bound_it() -> None:
    arms = named({"a": [0], "b": [0]}, {"a": [0], "b": [None]}, {"a": [1], "b": [0]}, {"a": [1]})
    found = paired_trend(arms)
    assert (found.n_blocks, found.n_prompts, found.unpaired) == (1, 2, ("b",))
    weights = [-0.9, -0.3, 0.3, 0.9]
    a = 100 * (0.3 + 0.9)
    b = 100 * weights[1], 100 * weights[3]
    assert found.bound_lower == pytest.approx((a + b[0]) / 2)
    assert found.bound_upper == pytest.approx((a + b[1]) / 2)


def test_counted_prompts_give_the_same() -> None:
    blocks = [
        [[0], [0], [1], [1]],
        [[0], [1], [1], [1]],
        [[0], [0], [1], [1]],
        [[1], [1], [0], [1]],
    ]
    counted: Tally = Counter(tuple(tuple(arm) for arm in block) for block in blocks)
    assert tallied_trend(counted, NAMES[:4]) == paired_trend(of_blocks(blocks))


def test_nothing_to_compare_says_so() -> None:
    found = paired_trend(named({"a": [1]}, {"b": [1]}, {}))
    assert math.isnan(found.trend)
    assert math.isnan(found.p_value)
    assert found.interval_method.startswith("none")
    assert found.unpaired == ("a", "b")


@pytest.mark.parametrize("scores", [(0, 1), (0, 2, 1), (0, 1, 1), (0, 1, math.inf)])
def test_scores_that_do_not_increase_are_refused(scores: tuple[float, ...]) -> None:
    with pytest.raises(RimError, match="give 3 increasing finite numbers, one an arm"):
        paired_trend(named({}, {}, {}), scores=scores)


def test_one_arm_is_refused() -> None:
    with pytest.raises(RimError, match=r"1 arm\(s\) given \(off\)"):
        paired_trend({"off": {"a": [1]}})


def test_scores_are_rescaled() -> None:
    arms = of_blocks([[[0], [0], [1], [1]]] * 12 + [[[0], [1], [0], [0]]])
    found = paired_trend(arms, scores=(100, 200, 400, 500))
    assert found.scores == (0, 0.25, 0.75, 1)
    assert "sign-flip" in found.permutation_method  # symmetric about the middle
    assert "permutation of the arms" in paired_trend(arms, scores=(0, 1, 2, 9)).permutation_method


def test_interval_of_three_values_is_tangos() -> None:
    for n, b, c in product((1, 2, 7, 40), (0, 1, 6, 40), (0, 1, 30)):
        if b + c <= n:
            values = [1.0] * b + [-1.0] * c + [0.0] * (n - b - c)
            found = bounded_mean_interval(values, reach=1, quantile=NORMAL)
            assert found == pytest.approx(tango_interval(b, c, n), abs=1e-8)


@pytest.mark.parametrize("value", [-1.2, 0.0, 0.4, 1.2])
def test_equal_values_have_wilsons_interval_of_prompts_that_could_differ(value: float) -> None:
    found = bounded_mean_interval([value] * 25, reach=1.2, quantile=NORMAL)
    share = rate(0, 25).upper
    hand = value - share * (value + 1.2), value + share * (1.2 - value)
    assert found == pytest.approx(hand)


def test_interval_holds_what_the_score_test_does_not_reject() -> None:
    """The most likely distribution with a given mean, by brute force over the multiplier."""
    values = np.array([-0.4, 0.0, 0.0, 0.4, 0.8, 0.8, 0.8, 1.2] * 4)
    found = bounded_mean_interval(values, reach=1.2, quantile=NORMAL)

    def rejected(mean: float) -> bool:
        apart = values - mean
        grid = np.linspace(-1 / (1.2 - mean) + 1e-9, 1 / (1.2 + mean) - 1e-9, 40_001)
        pull = np.mean(apart / (1 + grid[:, None] * apart), axis=1)
        weights = 1 / (1 + grid[np.argmin(np.abs(pull))] * apart) / len(values)
        variance = weights @ apart**2
        return bool(len(values) * (values.mean() - mean) ** 2 > NORMAL**2 * variance)

    for end, outward in zip(found, (-1, 1), strict=True):
        assert rejected(end + outward * 2e-4)
        assert not rejected(end - outward * 2e-4)


def test_interval_has_students_quantile() -> None:
    values = [0.4, 0.0, 0.8, 0.0, -0.4, 1.2]
    quantile = float(stats.t.ppf(0.95, len(values) - 1))
    by_hand = bounded_mean_interval(values, reach=1.2, quantile=quantile)
    assert bounded_mean_interval(values, reach=1.2, level=0.9) == pytest.approx(by_hand)


@pytest.mark.slow
def test_many_prompts_take_neither_memory_nor_long() -> None:
    verdicts = np.random.default_rng(3).integers(0, 2, size=(20_000, 5)).astype(float)
    counted: Tally = Counter(tuple((float(v),) for v in row) for row in verdicts)
    found = tallied_trend(counted, NAMES, scores=(0, 1, 2, 3, 9))
    half = 1.96 * 100 * (verdicts @ slope_weights(found.scores)).std() / np.sqrt(20_000)
    assert (found.upper - found.lower) / 2 == pytest.approx(half, rel=0.01)
    assert 0.001 <= found.permutation_p_value <= 1


def test_interval_needs_values_within_reach() -> None:
    with pytest.raises(RimError, match=r"A value of 1.2 is outside the range of -1 to 1"):
        bounded_mean_interval([1.2], reach=1)
    assert bounded_mean_interval([0.3], reach=1) == (-1, 1)
    assert math.isnan(bounded_mean_interval([], reach=1).lower)


def test_order_permutation_agrees_with_all_orders() -> None:
    blocks: list[list[float]] = [[0, 1, 1], [0, 0, 1], [0, 0.5, 1]]
    weights = np.array([-0.6, -0.3, 0.9])
    sums = [
        abs(sum(np.array(order) @ weights for order in orders))
        for orders in product(*(list(permutations(block)) for block in blocks))
    ]
    observed = abs(float(np.sum(np.array(blocks) @ weights)))
    exact = np.mean(np.array(sums) >= observed - 1e-9)
    assert order_permutation_test(blocks, weights) == pytest.approx(exact, abs=0.01)


def test_order_permutation_of_two_arms_is_the_sign_flip() -> None:
    blocks = np.random.default_rng(4).integers(0, 2, size=(30, 2))
    flip = sign_flip_test(blocks[:, 1] - blocks[:, 0]).p_value
    assert order_permutation_test(blocks, [-1, 1]) == pytest.approx(flip, abs=0.015)
    assert order_permutation_test([[1, 1, 1]], [-1, 0, 1]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["rising", "falling", "flat"])
@pytest.mark.parametrize("prompts", ["thresholds", "coins"])
def test_recovers_a_planted_trend(shape: Any, prompts: Any) -> None:
    """In at least 95 % of 200 simulations, seed 0: 220 prompts, five doses."""
    found = simulate(Setting(prompts, shape, doses=5, n=220), repetitions=200)
    assert found.coverage >= 0.95
    if shape == "flat":
        assert found.rejected <= 0.09  # 10 of 200 are expected; 19 or more have a chance below 1 %
    else:
        assert found.rejected > 0.95
