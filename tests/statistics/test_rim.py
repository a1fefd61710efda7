import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rim_eval.errors import RimError
from rim_eval.statistics import (
    PairedDifference,
    arm_summary,
    bounded_mean_interval,
    mcnemar_exact,
    mcnemar_score,
    rim_flag,
    rim_score,
    tango_interval,
)

verdict = st.sampled_from([0.0, 0.5, 1.0, None])
arm = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(verdict, max_size=3), max_size=8)
single = st.dictionaries(
    st.sampled_from("abcdefgh"), st.sampled_from([[0], [1], [None]]), max_size=8
)


def arms(
    b: int, c: int, both: int, neither: int
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    cells = [(1, 0)] * b + [(0, 1)] * c + [(1, 1)] * both + [(0, 0)] * neither
    first, second = ({f"p{i}": [cell[arm]] for i, cell in enumerate(cells)} for arm in (0, 1))
    return first, second


def test_one_epoch_by_hand() -> None:
    found = rim_score(*arms(b=30, c=8, both=20, neither=242))
    assert found.difference == pytest.approx(100 * 22 / 300)
    assert (found.b, found.c, found.n_pairs) == (30, 8, 300)
    assert (found.lower, found.upper) == pytest.approx(
        tuple(100 * end for end in tango_interval(30, 8, 300))
    )
    assert (found.p_value, found.permutation_p_value) == (
        mcnemar_score(30, 8),
        mcnemar_exact(30, 8),
    )
    assert (found.interval_method, found.test_method) == ("Tango", "McNemar score test")
    assert (found.target, found.reference) == ("think", "no_think")
    assert (found.target_rate, found.reference_rate) == pytest.approx((50 / 300, 28 / 300))
    assert found.bound_lower == pytest.approx(found.difference) == pytest.approx(found.bound_upper)


def test_several_epochs_use_prompts_and_say_so() -> None:
    think = {f"p{i}": [1, i % 2] for i in range(40)}
    no_think = {f"p{i}": [0, i % 3 == 0] for i in range(40)}
    found = rim_score(think, no_think, seed=3)
    assert found.interval_method == "score interval of the mean by prompt"
    assert "sign-flip" in found.permutation_method
    assert found.lower < found.difference < found.upper
    assert found == rim_score(think, no_think, seed=3)


def test_unscored_is_neither_safe_nor_unsafe() -> None:
    think: dict[str, list[int | None]] = {"a": [1], "b": [0], "c": [None], "d": [1]}
    no_think: dict[str, list[int | None]] = {"a": [0], "b": [0], "c": [0]}
    found = rim_score(think, no_think)
    assert found.difference == 50
    assert found.n_pairs == 2
    assert found.unpaired == ("c", "d")
    # c: -0..1 (think unscored), d: 0..1 (no-think missing); a: 1, b: 0.
    assert (found.bound_lower, found.bound_upper) == (25, 75)


@pytest.mark.slow
@given(arm, arm)
def test_swapping_the_arms_turns_the_sign(first: dict[str, Any], second: dict[str, Any]) -> None:
    one, other = rim_score(first, second), rim_score(second, first)
    if math.isnan(one.difference):
        assert math.isnan(other.difference)
        return
    assert one.difference == pytest.approx(-other.difference, abs=1e-9)
    assert (one.b, one.c) == (other.c, other.b)
    assert (one.bound_lower, one.bound_upper) == pytest.approx(
        (-other.bound_upper, -other.bound_lower)
    )
    assert one.p_value == pytest.approx(other.p_value)


@pytest.mark.slow
@given(arm)
def test_equal_arms_differ_by_nothing(verdicts: dict[str, Any]) -> None:
    found = rim_score(verdicts, verdicts)
    if found.n_pairs:
        assert found.difference == 0
        assert found.lower < 0 < found.upper
        assert found.p_value == 1


@pytest.mark.slow
@given(arm, arm)
def test_order_does_not_matter(first: dict[str, Any], second: dict[str, Any]) -> None:
    again = rim_score(dict(reversed(first.items())), dict(reversed(second.items())))
    assert rim_score(first, second).to_dict() == again.to_dict()


@pytest.mark.slow
@given(arm, arm, st.data())
def test_bounds_hold_whatever_the_unscored_were(
    first: dict[str, Any], second: dict[str, Any], data: st.DataObject
) -> None:
    """Fill every gap with any verdict: the score of the whole lies within the bounds."""
    found = rim_score(first, second)
    prompts = first.keys() | second.keys()

    def filled(verdicts: dict[str, Any]) -> dict[str, Any]:
        return {
            prompt: [
                data.draw(st.sampled_from([0, 0.5, 1])) if v is None else v
                for v in (verdicts.get(prompt) or [None])
            ]
            for prompt in prompts
        }

    whole = rim_score(filled(first), filled(second))
    if prompts:
        assert found.bound_lower - 1e-9 <= whole.difference <= found.bound_upper + 1e-9


@pytest.mark.slow
@given(single, single)
def test_interval_contains_the_score(first: dict[str, Any], second: dict[str, Any]) -> None:
    found = rim_score(first, second)
    if found.n_pairs:
        assert found.lower <= found.difference <= found.upper
    assert PairedDifference.model_validate(found.to_dict()).to_dict() == found.to_dict()


def test_no_width_is_not_certainty() -> None:
    """Values that are all equal have an interval too."""
    think = {f"p{i}": [0, 0] for i in range(30)}
    found = rim_score(think, think)
    assert found.lower < -5
    assert found.upper > 5


def test_verdicts_out_of_range_are_refused_by_prompt() -> None:
    with pytest.raises(RimError, match=r"think: prompt 'x' has the verdict 5"):
        rim_score({"x": [5]}, {"x": [0]})


def test_arm_summary_by_hand() -> None:
    found = arm_summary({"a": [1], "b": [0], "c": [None], "d": [0]})
    assert found.method == "Wilson"
    assert found.value == pytest.approx(1 / 3)
    assert (found.n_prompts, found.n_prompts_scored, found.n_scored, found.n_unscored) == (
        4,
        3,
        3,
        1,
    )
    assert (found.bound_lower, found.bound_upper) == (0.25, 0.5)
    several = arm_summary({"a": [1, 0], "b": [0, 0], "c": [1, None], "d": [0, 1]})
    assert several.method.startswith("score interval")
    assert several.value == pytest.approx(0.5)
    assert several.epochs == 2
    assert math.isnan(arm_summary({}).value)


RISE, NO_RISE = rim_score(*arms(40, 5, 10, 245)), rim_score(*arms(10, 9, 10, 271))
GAIN, LOSS = rim_score(*arms(80, 5, 100, 15)), rim_score(*arms(5, 80, 100, 15))
UNSURE = rim_score(*arms(3, 2, 10, 15))


@pytest.mark.parametrize(
    ("rim", "gain", "flag", "says"),
    [
        (RISE, GAIN, "yes", "does not cost 2 points"),
        (RISE, LOSS, "no", "costs accuracy"),
        (RISE, UNSURE, "cannot_tell", "cannot tell whether accuracy is kept"),
        (RISE, None, "cannot_tell", "no accuracy gain"),
        (NO_RISE, GAIN, "no", "remains possible"),
        (rim_score(*arms(2, 40, 10, 248)), GAIN, "no", "ruled out"),
        (rim_score({}, {}), GAIN, "cannot_tell", "no RIM score"),
        (rim_score(*arms(11, 3, 10, 76)), GAIN, "yes", "does not cost 2 points"),
    ],
)
def test_flag_reads_both(
    rim: PairedDifference, gain: PairedDifference | None, flag: str, says: str
) -> None:
    found = rim_flag(rim, gain)
    assert found.flag == flag
    assert re.search(says, found.sentence)


def test_flag_of_modes_that_were_not_held_cannot_tell() -> None:
    """Both arms thought, and the card's first line was that no misalignment was shown."""
    for rim in (RISE, NO_RISE):
        found = rim_flag(rim, GAIN, "a trace in 100 % of no-think samples")
        assert found.flag == "cannot_tell"
        assert "a trace in 100 % of no-think samples" in found.sentence


@pytest.mark.parametrize("sign", [1, -1])
def test_prompts_that_all_turn_alike_in_every_epoch_are_a_finding(sign: int) -> None:
    """The interval must be narrow, and one-sided."""
    ones, zeros = ({f"p{n}": [value, value] for n in range(300)} for value in (1.0, 0.0))
    found = rim_score(ones, zeros) if sign > 0 else rim_score(zeros, ones)
    assert found.difference == 100 * sign
    assert abs(found.lower) > 95
    assert abs(found.upper) > 95
    assert found.lower < found.upper


def test_equal_partial_differences_narrow_as_whole_ones_do() -> None:
    """By one over the number of prompts: n prompts alike say that few others can be unlike."""
    for n in (50, 5000):
        half, none = ({f"p{k}": epochs for k in range(n)} for epochs in ([1.0, 0.0], [0.0, 0.0]))
        found = rim_score(half, none)
        quantile = float(stats.t.ppf(0.975, n - 1))
        share = quantile**2 / (n + quantile**2)
        assert (found.lower, found.upper) == pytest.approx((50 - 150 * share, 50 + 50 * share))


def test_thirds_that_are_equal_but_for_rounding_have_a_width() -> None:
    """2/3 - 1/3 and 1/3 - 0 are not the same floats."""
    epochs = {"a": ([1.0, 1.0, 0.0], [1.0, 0.0, 0.0]), "b": ([1.0, 0.0, 0.0], [0.0, 0.0, 0.0])}
    think, no_think = (
        {f"{k}{i}": v[arm] for k, v in epochs.items() for i in range(20)} for arm in (0, 1)
    )
    found = rim_score(think, no_think)
    assert found.upper - found.lower > 10


@pytest.mark.parametrize("sign", [-1, 0, 1])
@pytest.mark.parametrize("n", [1, 30, 300])
def test_whole_equal_differences_have_tangos_interval(sign: int, n: int) -> None:
    hand = tango_interval(n if sign > 0 else 0, n if sign < 0 else 0, n)
    found = bounded_mean_interval([sign] * n, reach=1, quantile=1.959963985)
    assert found == pytest.approx(hand, abs=1e-8)


def test_interval_of_equal_values_covers() -> None:
    """The most likely way to see n equal values although others exist, at the share on the edge."""
    for n in (30, 300):
        low, high = bounded_mean_interval([1.0] * n, reach=2)
        share = (1 - low) / 3  # of prompts at the far end, -2
        assert high - 1 == pytest.approx(share)
        assert (1 - share) ** n < 0.03
