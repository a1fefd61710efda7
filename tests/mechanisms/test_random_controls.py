import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.random_controls import FIGURES, ablations, layers_of_neurons, observe, rates
from rim_eval.mechanisms import draw_random_sets
from rim_eval.mechanisms.random_controls import (
    RankTest,
    rank_p_value,
    rank_verdict,
    settled,
)
from rim_eval.mechanisms.units import by_layer

UNITS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 19)), min_size=1, max_size=10)


@given(UNITS, st.integers(0, 3))
def test_sets_match_the_layers_are_distinct_and_avoid_the_set(
    units: list[tuple[int, int]], seed: int
) -> None:
    found = draw_random_sets(units, [20] * 4, draws=5, seed=seed)
    assert len(set(found.sets)) == len(found.sets) == 5
    for draw in found.sets:
        assert len(set(draw)) == len(set(units))
        assert not set(draw) & set(units)
    mine = {layer: len(numbers) for layer, numbers in by_layer(units).items()}
    for draw in found.sets[: found.matched]:
        assert {layer: len(numbers) for layer, numbers in by_layer(draw).items()} == mine


def test_sets_depend_on_the_seed_alone() -> None:
    one, again, other = (
        draw_random_sets([(0, 1), (2, 3)], [50] * 3, draws=4, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_where_layers_hold_too_few_all_of_them_come_first_and_then_sets_of_any_layer() -> None:
    planted = [(1, 3), (3, 1)]
    found = draw_random_sets(planted, [4] * 4, draws=19)
    assert (found.matched, len(set(found.sets))) == (9, 19)
    assert set(found.sets[:9]) == {((1, a), (3, b)) for a in (0, 1, 2) for b in (0, 2, 3)}
    assert all(sorted({x for x, _ in draw}) != [1, 3] for draw in found.sets[9:])
    assert all(len(set(draw)) == 2 and not set(draw) & set(planted) for draw in found.sets)


def test_most_of_a_layer_has_no_matched_set_and_a_whole_model_none_at_all() -> None:
    found = draw_random_sets([(1, 0), (1, 1), (1, 2)], [4, 4], draws=5)
    assert found.matched == 0
    assert len(found.sets) == 5
    assert draw_random_sets([(0, 0), (0, 1)], [2, 1], draws=5).sets == ()


def test_nineteen_sets_are_the_fewest_that_can_support_a_finding() -> None:
    assert rank_verdict(0, 18) == "open"
    assert rank_verdict(0, 19) == "beyond"
    assert rank_p_value(0, 19) == pytest.approx(0.05)
    assert rank_verdict(0, 0) == "open"
    assert rank_verdict(18, 18) == "open", "nor that there is none"


@pytest.mark.slow
@given(st.integers(0, 200), st.integers(0, 200))
def test_readings_follow_from_the_two_tests_they_name(k: int, n: int) -> None:
    if k > n:
        return
    rare = Fraction(1, 20)
    tail = 1 - sum(math.comb(n, i) * rare**i * (1 - rare) ** (n - i) for i in range(k))
    beyond, among = Fraction(1 + k, 1 + n) <= rare, n >= 19 and tail <= rare
    assert not (beyond and among)
    assert rank_verdict(k, n) == ("beyond" if beyond else "among" if among else "open")


def test_one_of_nineteen_says_neither_and_four_say_that_the_set_is_nothing_special() -> None:
    assert [rank_verdict(k, 19) for k in range(6)] == ["beyond"] + ["open"] * 3 + ["among"] * 2


def test_sets_without_a_value_support_nothing() -> None:
    assert rank_verdict(19, 19) == "among"
    assert rank_verdict(19, 19, unknown=19) == "open"
    assert rank_verdict(1, 19, unknown=1) == "open", "nor are they as good as reaching less far"


@given(st.integers(0, 45), st.lists(st.sampled_from([0.0, 1.0, math.nan]), max_size=45))
def test_what_is_settled_early_is_what_all_sets_would_have_said(
    n: int, values: list[float]
) -> None:
    def count(some: list[float]) -> tuple[int, int]:
        return sum(not value < 1 for value in some), sum(map(math.isnan, some))

    k, unknown = count(values[:n])
    verdict = settled(k, len(values[:n]), len(values), unknown)
    k, unknown = count(values)
    whole = rank_verdict(k, len(values), unknown)
    assert verdict in (None, whole)
    assert settled(k, len(values), len(values), unknown) == whole


def test_a_rank_in_two_units_shows_what_both_show_and_takes_the_larger_p() -> None:
    far, near = RankTest.of(1, [0] * 19), RankTest.of(1, [2] * 19)
    half = RankTest.of(1, [0] * 19, rescaled=near)
    assert (far.verdict, near.verdict, half.verdict) == ("beyond", "among", "open")
    assert half.p_value == near.p_value == 1
    assert RankTest.of(1, [0] * 19, rescaled=far).verdict == "beyond"
    assert RankTest.of(1, [2] * 19, rescaled=near).verdict == "among"


ACTIVE = np.random.default_rng(0).lognormal(sigma=1.5, size=(600, 2))
"""Base figures of two layers of 300 units."""


def test_units_are_replaced_by_near_ones_of_their_layer() -> None:
    units = [(layer, int(i)) for layer in (0, 1) for i in np.argsort(-ACTIVE[:300, 0])[20:60:2]]
    near = draw_random_sets(units, [300, 300], draws=30, covariates=ACTIVE)
    far = draw_random_sets(units, [300, 300], draws=30)
    mine = np.log(ACTIVE[[300 * layer + i for layer, i in units]]).mean(0)

    def away(sets: tuple[tuple[tuple[int, int], ...], ...]) -> float:
        drawn = [np.log(ACTIVE[[300 * layer + i for layer, i in each]]).mean(0) for each in sets]
        return float(np.abs(np.mean(drawn, axis=0) - mine)[0])

    assert away(near.sets) < 0.2 * away(far.sets)
    assert near.matched == len(set(near.sets)) == 30
    assert not {unit for each in near.sets for unit in each} & set(units)
    assert far.balance == ()


def test_what_cannot_be_matched_is_measured() -> None:
    most = [(0, int(np.argmax(ACTIVE[:300, 0])))]
    found = draw_random_sets(most, [300, 300], draws=19, covariates=ACTIVE)
    drawn = [ACTIVE[number].tolist() for ((_, number),) in found.sets]
    assert found.balance == pytest.approx(ACTIVE[most[0][1]] / np.mean(drawn, axis=0))
    assert found.balance[0] > 1.2


def test_draws_that_share_units_spread_less_than_the_set() -> None:
    """Two of three others: any two of the three draws share one unit, the set none."""
    found = draw_random_sets([(0, 0), (0, 1)], [5], draws=3)
    assert (found.matched, found.sizes) == (3, ())
    # The draws' mean holds each of three units 2/3 times: draws lie sqrt(2/3) away, the set sqrt(2 + 4/3).
    assert found.spread == pytest.approx(math.sqrt((10 / 3 * 3 / 4) / (2 / 3 * 3 / 2)))
    apart = draw_random_sets([(0, 0)], [500], draws=99)
    assert apart.spread == pytest.approx(1), "none shares anything"


def test_sizes_of_draws_are_sums_over_the_sets_own() -> None:
    units = [(0, i) for i in range(5)]
    found = draw_random_sets(units, [300, 300], draws=19, covariates=ACTIVE)
    mine = ACTIVE[:5, 0].sum()
    sums = [ACTIVE[[number for _, number in each], 0].sum() for each in found.sets]
    assert found.sizes == pytest.approx([each / mine for each in sums])
    assert 1 / np.mean(found.sizes) == pytest.approx(found.balance[0])


def test_neurons_that_write_more_are_no_finding_where_none_is_special() -> None:
    found = ablations(20, 0.5, models=15)
    assert found["proportional"].balance > 1.5
    assert found["proportional"].as_it_is > 0.5, "by what they do alone they would be"
    assert all(each.decides <= 0.05 for each in found.values())


@pytest.mark.parametrize("draws", [19, 99])
@pytest.mark.parametrize("size", [1, 2, 150])
def test_matched_sets_are_distinct_whatever_the_size(draws: int, size: int) -> None:
    units = [(0, i) for i in range(size)]
    found = draw_random_sets(units, [300, 300], draws=draws, covariates=ACTIVE)
    expected = 1 if size == 150 else draws  # the other half of the layer is the only matched set
    assert found.matched == expected
    assert len(set(found.sets)) == draws


def test_figures_that_are_all_zero_match_nothing_and_break_nothing() -> None:
    found = draw_random_sets([(0, 1), (0, 2)], [50], draws=19, covariates=np.zeros((50, 1)))
    assert found.matched == 19
    assert math.isnan(found.balance[0])


@pytest.mark.parametrize("drift", ["additive", "proportional", "weights"])
def test_a_drift_that_spares_nobody_makes_the_neurons_found_nothing_special(drift: str) -> None:
    outcomes = [observe(layers_of_neurons(seed), drift, seed) for seed in range(25)]
    share = rates(outcomes)
    assert np.median([each.uneven for each in outcomes]) > 2, "they are the more active ones"
    if drift != "additive":
        assert share["layer", "change"] > 0.5, "beside sets of their layers they would be"
    for figure in FIGURES:
        assert 25 * share["decides", figure] <= 5, "of 25 at 5 %, more than 5 in 1 of 800"


def test_neurons_that_a_training_did_go_through_are_still_told() -> None:
    share = rates([observe(layers_of_neurons(seed), "route", seed) for seed in range(10)])
    assert share["decides", "size"] == share["decides", "change"] == 1
