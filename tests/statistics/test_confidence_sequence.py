"""The confidence sequence against closed forms, a quadrature, and its own promises."""

import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln

from benchmarks.early_stopping import Planted, epochs_error, fixed_need, simulate
from rim_eval.errors import RimError
from rim_eval.statistics import (
    Tally,
    confidence_sequence,
    sequential_arm_summary,
    sequential_difference,
    sequential_p,
    tango_interval,
)
from rim_eval.statistics.confidence_sequence import METHOD, TEST, log_wealth
from rim_eval.statistics.wilson import wilson_interval

VALUES = (-1.0, -0.5, 0.0, 0.25, 1.0)
COUNTS = st.lists(st.integers(0, 60), min_size=5, max_size=5).filter(any)
MEANS = st.floats(-0.95, 0.95)


def wealth(counts: list[int], mean: float) -> float:
    return float(log_wealth(VALUES, counts, mean, low=-1, high=1))


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_of_pairs_without_a_difference_it_is_a_sign_test_by_a_beta_mixture(
    b: int, c: int, ties: int
) -> None:
    expected = (b + c) * math.log(2) + betaln(b + 0.5, c + 0.5) - betaln(0.5, 0.5)
    found = log_wealth([-1, 0, 1], [c, ties, b], 0.0, low=-1, high=1)
    assert float(found) == pytest.approx(expected, abs=1e-9)


@given(COUNTS, MEANS)
def test_it_integrates_over_all_bets(counts: list[int], mean: float) -> None:
    share = (mean + 1) / 2

    def product(p: float) -> float:
        factors = (p * (v + 1) / 2 / share + (1 - p) * (1 - v) / 2 / (1 - share) for v in VALUES)
        return math.prod(f**n for f, n in zip(factors, counts, strict=True))

    if sum(counts) < 40:
        integral, _ = quad(product, 0, 1, weight="alg", wvar=(-0.5, -0.5))
        assert math.exp(wealth(counts, mean)) == pytest.approx(integral / math.pi, rel=1e-6)


@given(COUNTS, st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
def test_the_wealth_is_a_martingale_under_the_true_mean(
    counts: list[int], weights: list[float]
) -> None:
    shares = [weight / sum(weights) for weight in weights]
    mean = sum(share * value for share, value in zip(shares, VALUES, strict=True))
    after = [[n + (i == k) for i, n in enumerate(counts)] for k in range(len(VALUES))]
    before = wealth(counts, mean)
    expected = sum(
        s * math.exp(wealth(a, mean) - before) for s, a in zip(shares, after, strict=True)
    )
    assert expected == pytest.approx(1, rel=1e-9)


@given(COUNTS, MEANS, MEANS)
def test_the_wealth_is_log_convex_in_the_mean(counts: list[int], one: float, other: float) -> None:
    middle = wealth(counts, (one + other) / 2)
    assert middle <= (wealth(counts, one) + wealth(counts, other)) / 2 + 1e-9


@given(COUNTS, MEANS)
def test_the_interval_holds_what_is_not_rejected(counts: list[int], mean: float) -> None:
    prompts = dict(zip(VALUES, counts, strict=True))
    found = confidence_sequence(prompts, low=-1, high=1)
    excess = wealth(counts, mean) - math.log(20)
    if abs(excess) > 1e-6:
        assert (found.lower < mean < found.upper) == (excess < 0)
    average = sum(v * n for v, n in prompts.items()) / sum(counts)
    assert found.lower - 1e-12 <= average <= found.upper + 1e-12


@given(COUNTS)
def test_mirrored_values_mirror_the_interval(counts: list[int]) -> None:
    prompts = dict(zip(VALUES, counts, strict=True))
    found = confidence_sequence(prompts, low=-1, high=1)
    mirrored = confidence_sequence({-v: n for v, n in prompts.items()}, low=-1, high=1)
    assert mirrored.lower == pytest.approx(-found.upper, abs=1e-9)
    assert mirrored.upper == pytest.approx(-found.lower, abs=1e-9)


@given(COUNTS)
def test_interval_and_p_value_agree(counts: list[int]) -> None:
    prompts = dict(zip(VALUES, counts, strict=True))
    lower, upper = confidence_sequence(prompts, low=-1, high=1)
    p = sequential_p(prompts, 0.0, low=-1, high=1)
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (not lower <= 0 <= upper)


def test_it_is_wider_than_an_interval_of_one_look() -> None:
    tally: Tally = {((1.0,), (0.0,)): 81, ((0.0,), (1.0,)): 21, ((0.0,), (0.0,)): 198}
    found = sequential_difference(tally, target_name="think", reference_name="no_think")
    tango = tango_interval(81, 21, 300)
    assert found.difference == pytest.approx(20)
    assert found.lower < 100 * tango.lower
    assert found.upper > 100 * tango.upper
    assert (found.interval_method, found.test_method) == (METHOD, TEST)
    assert math.isnan(getattr(found, "permutation_p_value", math.nan))  # a test of one look
    rate = sequential_arm_summary({((1.0,),): 81, ((0.0,),): 219})
    wilson = wilson_interval(81, 300)
    assert rate.method == METHOD
    assert rate.lower < wilson.lower < rate.value < wilson.upper < rate.upper


def test_epochs_count_as_one_prompt_by_their_mean() -> None:
    tally: Tally = {((1.0, 1.0), (0.0, 1.0)): 30, ((None, 0.0), (0.0, 0.0)): 10}
    found = sequential_difference(tally, target_name="think", reference_name="no_think")
    by_hand = confidence_sequence({0.5: 30, 0.0: 10}, low=-1, high=1)
    assert (found.lower, found.upper) == (100 * by_hand.lower, 100 * by_hand.upper)


def test_nothing_scored_has_no_interval() -> None:
    found = sequential_difference({((None,), (0.0,)): 3}, target_name="a", reference_name="b")
    assert math.isnan(found.lower)
    assert found.n_pairs == 0
    assert confidence_sequence({}, low=0, high=1) == (0, 1)


@pytest.mark.parametrize(("values", "says"), [({1.5: 3}, "outside the range"), ({-0.1: 1}, "-0.1")])
def test_values_outside_the_range_are_refused(values: Counter[float], says: str) -> None:
    with pytest.raises(RimError, match=says):
        confidence_sequence(values, low=0, high=1)


def test_a_rise_of_20_points_is_decided_after_40_percent_of_the_set() -> None:
    found = simulate(planted := Planted(0.1, 0.3), 100)
    assert found.median <= 0.4
    assert found.wrong == 0
    assert found.covered >= 0.97
    assert found.median * planted.n <= (fixed_need(planted) or 0)


def test_report_and_docs_name_what_a_fixed_run_needs_by_the_decision_rule() -> None:
    root = Path(__file__).parents[2]
    report = (root / "benchmarks" / "reports" / "early_stopping.md").read_text(encoding="utf-8")
    rise = report.split("## A rise")[1].split("## No rise")[0]
    lines = [line.strip("| ").split(" | ") for line in rise.splitlines() if line.startswith("| ")]
    needs = []
    for without, thinking, phi, *_, prompts, _, _, _, _, need, ratio in lines[2:]:
        reference, target = (float(rate.rstrip("%")) / 100 for rate in (without, thinking))
        needs.append(fixed_need(Planted(reference, target, float(phi))))
        assert int(need) == needs[-1]
        assert float(ratio) == pytest.approx(float(prompts) / int(need), abs=0.006)
    page = (root / "docs" / "early_stopping.md").read_text(encoding="utf-8")
    shown = [line.strip("| ").split(" | ") for line in page.splitlines() if " % and " in line]
    assert {int(line[-1]) for line in shown} == {*needs[:5]}


@pytest.mark.parametrize("spread", [0.0, 0.7])
@pytest.mark.parametrize("order", ["stratified", "random"])
def test_without_a_rise_no_look_errs_more_than_promised(spread: float, order: str) -> None:
    found = simulate(Planted(0.1, 0.1, 0, spread, order), 200)  # type: ignore[arg-type]
    assert found.excluded <= 0.05
    if (spread, order) == (0.0, "random"):
        assert found.naive > 0.2  # so the simulation could have found it


def test_on_the_margin_a_run_goes_to_its_end() -> None:
    found = simulate(Planted(0.1, 0.15, margin=0.05), 60)
    assert found.decided <= 0.05
    assert 1.4 < found.width / found.tango < 2


def test_the_last_look_over_several_epochs_adds_little_error() -> None:
    assert epochs_error(0.1, 4, 60) <= 0.08
