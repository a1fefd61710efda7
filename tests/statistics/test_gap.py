"""The gap of two paired differences, and whether its sign flips."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.formatting import points
from rim_eval.statistics import (
    Gap,
    bounded_mean_interval,
    bounded_mean_test,
    paired_gap,
    rim_score,
    sign_flip_test,
    tallied_gap,
)

verdict = st.sampled_from([0.0, 0.5, 1.0, None])
arm = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(verdict, max_size=3), max_size=8)


def gap(*arms: Any, **options: Any) -> Gap:
    return paired_gap(arms[:2], arms[2:], target_name="wrapped", reference_name="bare", **options)


def ones(count: int, n: int = 100) -> dict[str, list[int]]:
    return {f"p{i:03}": [int(i < count)] for i in range(n)}


def test_by_hand() -> None:
    rng = np.random.default_rng(2)
    cells = rng.integers(0, 2, size=(40, 4))
    arms = [{f"p{i:02}": [int(row[j])] for i, row in enumerate(cells)} for j in range(4)]
    found = gap(*arms)
    by_prompt = 100 * (cells @ [1, -1, -1, 1])
    assert found.gap == pytest.approx(by_prompt.mean())
    assert (found.lower, found.upper) == bounded_mean_interval(by_prompt, reach=200)
    assert found.p_value == bounded_mean_test(by_prompt, reach=200)
    assert found.permutation_p_value == sign_flip_test(by_prompt).p_value
    assert found.target_difference == rim_score(arms[0], arms[1])
    assert found.reference_difference == rim_score(arms[2], arms[3])
    assert (found.n_blocks, found.n_prompts) == (40, 40)


@pytest.mark.parametrize(
    ("wrapped", "bare", "flips", "direction", "word"),
    [
        (
            (10, 40),
            (40, 10),
            True,
            "lower",
            "The sign flips: think minus no_think is \N{MINUS SIGN}30.0 points",
        ),
        ((40, 10), (10, 40), True, "higher", "each significant"),
        ((60, 10), (40, 10), False, "higher", "that its sign flips is not shown"),
        ((12, 10), (10, 40), False, "higher", "that its sign flips is not shown"),
        ((40, 10), (40, 10), False, "not shown", "No change from bare to wrapped is shown"),
    ],
)
def test_sign_flips_when_both_are_significant(
    wrapped: Any, bare: Any, flips: bool, direction: str, word: str
) -> None:
    found = gap(*map(ones, wrapped), *map(ones, bare))
    assert (found.sign_flips, found.direction) == (flips, direction)
    assert word in found.sentence
    assert f"{points(found.gap)} points" in found.sentence


def test_prompts_that_are_not_in_all_four_are_listed_and_bound_it() -> None:
    found = gap({"a": [1], "b": [1]}, {"a": [0], "b": [None]}, {"a": [0], "b": [0]}, {"a": [0]})
    assert (found.n_blocks, found.n_prompts, found.unpaired) == (1, 2, ("b",))
    assert found.gap == 100
    assert found.target_difference.n_pairs == 1
    # b: 1 - (0..1) - 0 + (0..1).
    assert (found.bound_lower, found.bound_upper) == (50, 150)


def test_nothing_to_compare_says_so() -> None:
    found = gap({"a": [1]}, {"a": [1]}, {}, {})
    assert math.isnan(found.gap)
    assert found.interval_method.startswith("none")
    assert not found.sign_flips
    assert found.direction == "not shown"
    assert found.sentence == "No prompt is scored in both modes in both settings."
    assert Gap.model_validate(found.to_dict()).to_dict() == found.to_dict()


@settings(max_examples=50)
@given(arm, arm, arm, arm)
def test_swapping_the_settings_turns_the_sign(a: Any, b: Any, c: Any, d: Any) -> None:
    one, other = gap(a, b, c, d), gap(c, d, a, b)
    assert [one.gap, one.lower, one.upper] == pytest.approx(
        [-other.gap, -other.upper, -other.lower], abs=1e-6, nan_ok=True
    )
    assert one.target_difference == other.reference_difference or math.isnan(one.gap)
    assert one.sign_flips == other.sign_flips
    assert [one.bound_lower, one.bound_upper] == pytest.approx(
        [-other.bound_upper, -other.bound_lower], nan_ok=True
    )
    if one.n_blocks:
        parts = one.target_difference.difference - one.reference_difference.difference
        assert one.gap == pytest.approx(parts, abs=1e-9)


@settings(max_examples=50)
@given(st.lists(st.tuples(*[st.lists(verdict, max_size=2).map(tuple)] * 4), max_size=10))
def test_counted_prompts_give_the_same(rows: Any) -> None:
    rows = [row for row in rows if any(row)]
    arms = [{f"p{i:02}": row[j] for i, row in enumerate(rows)} for j in range(4)]
    named = gap(*arms)
    counted = tallied_gap(Counter(rows), target_name="wrapped", reference_name="bare")
    assert counted.to_dict() == {**named.to_dict(), "unpaired": []}


def test_verdicts_out_of_range_name_the_arm() -> None:
    with pytest.raises(RimError, match="bare, no_think: prompt 'x' has the verdict 5"):
        gap({}, {}, {}, {"x": [5]})
