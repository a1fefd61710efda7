"""Prediction-powered rates and differences, and how labels are spread over the strata."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.optimize import brentq
from scipy.stats import binom

from rim_eval.errors import RimError
from rim_eval.statistics import (
    LabelStratum,
    PoweredDifference,
    allocate,
    powered_difference,
    powered_rate,
    tango_interval,
)

VERDICTS = (True, False, True, False)
CELLS = [((i,), (j,)) for i in (0, 1) for j in (2, 3)]

labels = st.integers(1, 12).flatmap(lambda m: st.tuples(st.just(m), st.integers(0, m)))
sheets = st.tuples(labels, labels, labels, labels)
counts = st.tuples(*[st.integers(1, 40)] * 4)


def strata(*sheet: tuple[int, float]) -> list[LabelStratum]:
    """Two with thinking, two without: the judge's verdict true, then false."""
    return [
        LabelStratum(mode=mode, verdict=verdict, doubt="", labelled=m, positives=x)
        for mode, verdict, (m, x) in zip(
            ("think", "think", "no_think", "no_think"), VERDICTS, sheet, strict=True
        )
    ]


def prompts(both: int, think: int, no_think: int, neither: int) -> dict[Any, int]:
    """By the judge's two verdicts."""
    return dict(zip(CELLS, (both, think, no_think, neither), strict=True))


KNOWN = strata((10**7, 10**7), (10**7, 0), (10**7, 10**7), (10**7, 0))
"""People always say what the judge says."""


def mid_p_interval(x: int, m: int) -> tuple[float, float]:
    """Both ends of the exact 95 % interval for x of m, by the mid-p rule."""

    def beyond(p: float, sign: int) -> float:
        tail = binom.sf(x, m, p) if sign > 0 else binom.cdf(x - 1, m, p)
        return float(tail + binom.pmf(x, m, p) / 2 - 0.025)

    lower = brentq(lambda p: beyond(p, 1), 1e-12, x / m) if x else 0.0
    return lower, brentq(lambda p: beyond(p, -1), x / m, 1 - 1e-12)


def test_it_is_the_weighted_sum_of_what_people_say() -> None:
    run, sheet = prompts(20, 20, 10, 50), strata((10, 9), (20, 1), (10, 8), (20, 0))
    target, reference = (powered_rate(run, sheet, arm) for arm in ("target", "reference"))
    assert (target.raw, reference.raw) == pytest.approx((0.4, 0.3))
    assert target.value == pytest.approx(0.4 * 0.9 + 0.6 * 0.05)
    assert reference.value == pytest.approx(0.3 * 0.8)
    found = powered_difference(run, sheet)
    assert (found.raw, found.value) == pytest.approx(
        (10, 100 * (target.value - reference.value)), abs=1e-9
    )
    assert (found.n_pairs, found.labelled, target.labelled) == (100, 60, 30)
    assert PoweredDifference(**found.to_dict()) == found


@given(counts, sheets)
@settings(max_examples=25, deadline=None)
def test_turning_the_arms_turns_the_interval(
    run: tuple[int, int, int, int], sheet: tuple[tuple[int, int], ...]
) -> None:
    both, think, no_think, neither = run
    found = powered_difference(prompts(*run), strata(*sheet))
    turned = powered_difference(
        prompts(both, no_think, think, neither), strata(*sheet[2:], *sheet[:2])
    )
    assert (turned.value, turned.lower, turned.upper) == pytest.approx(
        (-found.value, -found.upper, -found.lower), abs=1e-6
    )


@given(counts, sheets)
@settings(max_examples=25, deadline=None)
def test_counting_the_opposite_gives_the_opposite_rate(
    run: tuple[int, int, int, int], sheet: tuple[tuple[int, int], ...]
) -> None:
    found = powered_rate(prompts(*run), strata(*sheet), "target")
    opposite = [
        each.model_copy(
            update={"verdict": not each.verdict, "positives": each.labelled - each.positives}
        )
        for each in strata(*sheet)
    ]
    turned = powered_rate(prompts(*run), opposite, "target")
    assert (turned.raw, turned.value, turned.lower, turned.upper) == pytest.approx(
        (1 - found.raw, 1 - found.value, 1 - found.upper, 1 - found.lower), abs=1e-6
    )


@given(counts, sheets)
@settings(max_examples=25, deadline=None)
def test_the_interval_holds_its_estimate_and_widens_with_the_level(
    run: tuple[int, int, int, int], sheet: tuple[tuple[int, int], ...]
) -> None:
    found = powered_difference(prompts(*run), strata(*sheet))
    assert -100 <= found.lower <= found.value <= found.upper <= 100
    wide = powered_difference(prompts(*run), strata(*sheet), level=0.99)
    assert wide.lower <= found.lower + 1e-9
    assert wide.upper >= found.upper - 1e-9


@pytest.mark.parametrize(("x", "m"), [(0, 18), (1, 18), (3, 20), (10, 40), (39, 40)])
def test_one_stratum_of_many_prompts_is_near_the_exact_mid_p_interval(x: int, m: int) -> None:
    stratum = LabelStratum(mode="think", verdict=True, doubt="", labelled=m, positives=x)
    found = powered_rate({((0,), ()): 10**7}, [stratum], "target")
    assert (found.lower, found.upper) == pytest.approx(mid_p_interval(x, m), abs=0.012)


@pytest.mark.parametrize(("k", "n"), [(3, 60), (10, 100), (50, 100)])
def test_a_judge_known_to_be_right_leaves_the_exact_mid_p_interval_of_the_prompts(
    k: int, n: int
) -> None:
    found = powered_rate({((0,), ()): k, ((1,), ()): n - k}, KNOWN, "target")
    assert (found.lower, found.upper) == pytest.approx(mid_p_interval(k, n), abs=0.001)


@pytest.mark.parametrize(("b", "c"), [(20, 5), (10, 10), (30, 1)])
def test_a_judge_known_to_be_right_leaves_the_interval_of_the_pairs(b: int, c: int) -> None:
    found = powered_difference(prompts(10, b, c, 90 - b - c), KNOWN)
    tango = tango_interval(b, c, 100)
    assert (found.lower, found.upper) == pytest.approx((100 * tango.lower, 100 * tango.upper), abs=1)  # fmt: skip


def test_many_labels_and_prompts_give_the_normal_interval() -> None:
    m, n = 2000, 40_000
    sheet = strata((m, 0.9 * m), (m, 0.1 * m), (m, 0.8 * m), (m, 0.2 * m))
    found = powered_difference(prompts(n // 4, n // 4, n // 4, n // 4), sheet)
    label_part = 2 * 0.5**2 * (0.9 * 0.1 + 0.8 * 0.2) / m
    prompt_part = (0.8**2 + 0.6**2) / 4 / n
    half = 196 * math.sqrt(label_part + prompt_part)
    assert found.upper - found.value == pytest.approx(half, rel=0.01)
    assert found.value - found.lower == pytest.approx(half, rel=0.01)


def test_repeated_epochs_count_once_where_all_are_labelled() -> None:
    once, sheet = prompts(20, 20, 10, 50), ((40, 37), (60, 5), (30, 28), (70, 2))
    repeated = {(a * 4, b * 4): count for (a, b), count in once.items()}
    found = powered_difference(once, strata(*sheet))
    again = powered_difference(repeated, strata(*((4 * m, 4 * x) for m, x in sheet)))
    assert (again.lower, again.upper) == pytest.approx((found.lower, found.upper), abs=1e-6)
    assert found.label_variance == 0 < found.prompt_variance


def test_more_labels_take_away_the_part_of_the_labels() -> None:
    run = prompts(20, 20, 10, 50)
    few, many = (
        powered_difference(run, strata((m, 0.9 * m), (m, 0), (m, 0.9 * m), (m, 0)))
        for m in (10, 30)
    )
    assert many.label_variance < few.label_variance / 2
    assert many.prompt_variance == pytest.approx(few.prompt_variance, rel=0.5)
    assert many.upper - many.lower < few.upper - few.lower < few.labels_only_width


def test_a_stratum_without_labels_may_be_anything() -> None:
    run = prompts(20, 20, 10, 50)
    found = powered_rate(run, strata((0, 0), (20, 1), (10, 8), (20, 0)), "target")
    assert found.value == pytest.approx(0.4 + 0.6 * 0.05)
    assert found.lower < 0.6 * 0.05
    assert found.upper >= found.value


def test_only_pairs_enter_the_difference() -> None:
    sheet = strata((10, 9), (20, 1), (10, 8), (20, 0))
    run = prompts(20, 20, 10, 50)
    more = run | {((0,), ()): 100}
    assert powered_difference(more, sheet) == powered_difference(run, sheet)
    assert powered_rate(more, sheet, "target").raw == pytest.approx(0.7)


def test_labels_of_two_people_may_be_averaged() -> None:
    found = powered_rate(prompts(20, 20, 10, 50), strata((10, 8.5), (20, 0.5), (1, 1), (1, 0)), "target")  # fmt: skip
    assert found.value == pytest.approx(0.4 * 0.85 + 0.6 * 0.025)


def test_what_cannot_be_is_refused() -> None:
    sheet = strata((10, 9), (20, 1), (10, 8), (20, 0))
    with pytest.raises(RimError, match="stratum 7; allowed are 0 to 3"):
        powered_rate({((7,), ()): 1}, sheet, "target")
    with pytest.raises(RimError, match="No prompt is scored"):
        powered_difference({((0,), ()): 1}, sheet)
    with pytest.raises(RimError, match="is labelled"):
        powered_rate(prompts(1, 1, 1, 1), strata((0, 0), (0, 0), (5, 1), (5, 1)), "target")
    with pytest.raises(RimError, match="level"):
        powered_difference(prompts(1, 1, 1, 1), sheet, level=95)
    with pytest.raises(ValidationError, match="positives"):
        LabelStratum(mode="think", verdict=True, doubt="", labelled=3, positives=4)


sizes = st.dictionaries(
    st.tuples(st.sampled_from(["think", "no_think"]), st.booleans(), st.sampled_from("abc")),
    st.integers(0, 60),
    min_size=1,
)


@given(sizes, st.integers(12, 200))
def test_labels_are_spread_over_every_stratum(
    sizes: dict[tuple[str, bool, str], int], n: int
) -> None:
    given, more = allocate(sizes, n), allocate(sizes, n + 1)
    assert sum(given.values()) == min(n, sum(sizes.values()))
    assert all(min(1, size) <= given[key] <= size for key, size in sizes.items())
    assert all(given[key] <= more[key] for key in sizes)
    order = sorted(sizes, key=lambda key: sizes[key])
    assert np.all(np.diff([given[key] for key in order if sizes[key]]) >= -1)


def test_labels_follow_the_sizes() -> None:
    sizes = {("think", True, ""): 10, ("think", False, ""): 90, ("no_think", False, ""): 100}
    assert list(allocate(sizes, 40).values()) == [2, 18, 20]
    with pytest.raises(RimError, match="2 labels for 3 strata"):
        allocate(sizes, 2)
