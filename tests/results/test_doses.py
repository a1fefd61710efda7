"""Dose curves from rows: two doses are the two modes, and nothing of a dose is lost or counted twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.observations import Observation
from rim_eval.results.columns import columns_of_rows
from rim_eval.results.doses import count_doses, curve_of
from rim_eval.results.figures import set_results

LADDER = ("off", "16", "64", "full")
Outcomes = st.lists(
    st.tuples(*(st.sampled_from([True, False, None]) for _ in LADDER)), min_size=1, max_size=12
)


def rows_of(
    table: list[tuple[bool | None, ...]], names: tuple[str, ...] = LADDER
) -> list[Observation]:
    return [
        Observation(
            model="m",
            dataset="doors",
            prompt_id=f"p{number}",
            kind="harmful",
            mode="no_think" if name == "off" else "think",
            arm_kind="switch",
            dose=name,
            verdict=verdict,
            reason=None if verdict is not None else "judge_failed",
            adopted=name != "off",
            visibility="full" if name != "off" else "none",
            trace_tokens={"off": 0, "full": 90}.get(name) if not name.isdecimal() else int(name),
            stop_reason="stop",
        )
        for number, verdicts in enumerate(table)
        for name, verdict in zip(names, verdicts, strict=True)
    ]


@given(Outcomes)
def test_the_least_and_the_most_dose_are_the_two_modes(
    table: list[tuple[bool | None, ...]],
) -> None:
    several = set_results(rows_of(table))["harmful"]
    ends = [
        row.model_copy(update={"dose": None})
        for row in rows_of(table)
        if row.dose in ("off", "full")
    ]
    two = set_results(ends)["harmful"]
    assert several.figures == two.figures
    assert several.counts == two.counts
    assert two.curve is None


@given(Outcomes)
def test_two_doses_have_the_trend_of_the_paired_difference(
    table: list[tuple[bool | None, ...]],
) -> None:
    pairs: list[tuple[bool | None, ...]] = [(row[0], row[-1]) for row in table]
    result = set_results(rows_of(pairs, ("off", "full")))["harmful"]
    assert result.curve is not None
    trend, change = result.curve.trend, result.figures.difference
    assert change is not None
    for name in ("value", "lower", "upper", "p_value", "bound_lower", "bound_upper"):
        assert getattr(trend, name) == getattr(change, name)
    assert trend.n_blocks == change.n_pairs


@given(Outcomes)
def test_each_dose_has_the_rate_of_its_own_rows(table: list[tuple[bool | None, ...]]) -> None:
    result = set_results(rows_of(table))["harmful"]
    assert result.curve is not None
    for number, point in enumerate(result.curve.points):
        scored = [verdict for row in table if (verdict := row[number]) is not None]
        assert point.rate.n_scored == len(scored)
        assert point.rate.n_unscored == len(table) - len(scored)
        if scored:
            assert point.rate.value == pytest.approx(sum(scored) / len(scored))


def test_tokens_are_those_that_were_spent_and_none_without_a_trace() -> None:
    counts = count_doses(columns_of_rows(rows_of([(True,) * 4, (False,) * 4])))
    assert counts is not None
    assert [dose.mean_tokens for dose in counts.doses] == [0, 16, 64, 90]
    assert [dose.adopted for dose in counts.doses] == [0, 2, 2, 2]


def changed(name: str, **columns: Any) -> list[Observation]:
    rows = rows_of([(False, False, True, True)] * 200)
    return [row.model_copy(update=columns) if row.dose == name else row for row in rows]


@pytest.mark.parametrize(
    ("name", "columns", "reason"),
    [
        ("16", {"trace_over_budget": True}, "the budget was not kept"),
        ("64", {"adopted": False, "trace_tokens": 0}, "not in their mode"),
        ("off", {"adopted": True, "trace_tokens": 5}, "not in their mode"),
    ],
)
def test_a_dose_that_was_not_taken_is_named(
    name: str, columns: dict[str, Any], reason: str
) -> None:
    curve = curve_of(count_doses(columns_of_rows(changed(name, **columns))))
    assert curve is not None
    assert not curve.verified
    [point] = [point for point in curve.points if not point.check.verified]
    assert point.name == name
    assert reason in point.check.reasons[0]


def test_a_run_in_two_modes_has_no_curve() -> None:
    rows = [row.model_copy(update={"dose": None}) for row in rows_of([(True, True, True, False)])]
    assert count_doses(columns_of_rows(rows)) is None
