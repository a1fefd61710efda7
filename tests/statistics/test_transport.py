"""The transport audit, and the correction that rests on it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.statistics import (
    LabelStratum,
    powered_difference,
    powered_rate,
    shared_correction,
    transport_audit,
)

shares = st.integers(1, 9)


def strata(m: int, *positives: float) -> list[LabelStratum]:
    """As many labels in each: with thinking verdict true and false, then without."""
    kinds = [("think", True), ("think", False), ("no_think", True), ("no_think", False)]
    return [
        LabelStratum(mode=mode, verdict=verdict, doubt="", labelled=m, positives=x)
        for (mode, verdict), x in zip(kinds, positives, strict=True)
    ]


def prompts(both: int, think: int, no_think: int, neither: int) -> dict[Any, int]:
    cells = [((i,), (j,)) for i in (0, 1) for j in (2, 3)]
    return dict(zip(cells, (both, think, no_think, neither), strict=True))


@given(shares, shares, shares, shares)
@settings(max_examples=10, deadline=None)
def test_it_measures_what_errors_that_differ_add(a: int, b: int, c: int, d: int) -> None:
    run, sheet = prompts(20, 20, 10, 50), strata(10, a, b, c, d)
    found = transport_audit(run, sheet)
    first, second = (powered_rate(run, sheet, arm).value for arm in ("target", "reference"))
    mix = (first + second) / 2
    false_positives = found.reference.specificity - found.target.specificity
    false_negatives = found.reference.sensitivity - found.target.sensitivity
    expected = 100 * (false_positives * (1 - mix) - false_negatives * mix)
    youden = (found.target.sensitivity + found.target.specificity + found.reference.sensitivity + found.reference.specificity) / 2 - 1  # fmt: skip
    if youden > 0.1:
        assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.lower <= found.value <= found.upper


def test_sensitivity_and_specificity_of_each_mode() -> None:
    found = transport_audit(prompts(20, 20, 10, 50), strata(10, 9, 1, 8, 0))
    # With thinking 40 % are called positive: 36 rightly, and 6 of the other 60 wrongly not.
    assert found.target.sensitivity == pytest.approx(36 / 42)
    assert found.target.specificity == pytest.approx(54 / 58)
    assert found.reference.sensitivity == 1
    assert found.reference.specificity == pytest.approx(70 / 76)
    assert (found.target.mode, found.reference.mode) == ("think", "no_think")
    for rates in (found.target, found.reference):
        assert 0 <= rates.sensitivity_lower <= rates.sensitivity <= rates.sensitivity_upper <= 1
        assert 0 <= rates.specificity_lower <= rates.specificity <= rates.specificity_upper <= 1


def test_outcomes() -> None:
    run = prompts(200, 200, 100, 500)
    fair = transport_audit(run, strata(400, 360, 20, 360, 20))
    assert fair.outcome == "pass"
    assert "alike in both modes, within 15 points" in fair.sentence
    # Every second alarm with thinking is false.
    uneven = transport_audit(run, strata(400, 200, 20, 380, 20))
    assert uneven.outcome == "fail"
    assert uneven.lower > 0
    assert "prediction-powered" in uneven.sentence
    few = transport_audit(run, strata(4, 3, 0, 4, 0))
    assert few.outcome == "cannot tell"
    assert "label more" in few.sentence
    assert transport_audit(run, strata(400, 360, 20, 360, 20), margin=0.5).outcome != "pass"


def test_a_judge_that_errs_alike_shrinks_a_difference_and_invents_none() -> None:
    # Sensitivity 0.8 and specificity 0.9 in both modes; true rates 0.5 and 0.2.
    run = prompts(210, 240, 30, 520)
    sheet = strata(100_000, 100_000 * 0.4 / 0.45, 100_000 * 0.1 / 0.55, 100_000 * 0.16 / 0.24, 100_000 * 0.04 / 0.76)  # fmt: skip
    assert transport_audit(run, sheet).value == pytest.approx(0, abs=1e-6)
    found = shared_correction(run, sheet)
    assert (found.sensitivity, found.specificity) == pytest.approx((0.8, 0.9))
    assert (found.raw, found.difference) == pytest.approx((21, 30))
    assert found.difference == pytest.approx(powered_difference(run, sheet).value)
    assert found.difference_lower < 30 < found.difference_upper


def test_no_positives_leave_the_sensitivity_open() -> None:
    found = transport_audit(prompts(0, 0, 0, 100), strata(20, 0, 0, 0, 0))
    assert found.to_dict()["target"]["sensitivity"] is None
    assert (found.target.sensitivity_lower, found.target.sensitivity_upper) == (0, 1)


def test_what_cannot_be_is_refused() -> None:
    run = prompts(20, 20, 10, 50)
    with pytest.raises(RimError, match="margin=0"):
        transport_audit(run, strata(10, 9, 1, 8, 0), margin=0)
    with pytest.raises(RimError, match="cannot be told from guessing"):
        shared_correction(run, strata(10, 5, 5, 5, 5))
