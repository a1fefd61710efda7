"""The report of a series: each model against the base, and the trend over all of them, from known verdicts."""

from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.observations import Table, from_rows
from rim_eval.series import (
    SeriesReport,
    build_series,
    series_html,
    series_markdown,
    series_text,
)
from rim_eval.statistics import paired_difference, paired_trend

LABELS = ("base", "step-1", "step-2", "step-3")
THINK: tuple[list[Any], ...] = ([1, 0, 0, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 1, 0, 0, 0], [1, 1, 1, 1, 1, 0, 1, None])  # fmt: skip
NO_THINK: tuple[list[Any], ...] = (
    [0, 0, 0, 0, 0, 0, 1, 0],
    [0, 0, 0, 0, 0, 1, 0, 0],
    [0] * 8,
    [1, 0, 0, 0, 0, 0, 0, 0],
)
SOLVED = ([1, 0, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0])


@pytest.fixture
def table(rows: Any) -> Table:
    """Four models on eight doors and four problems; one door of the last model is unscored with thinking."""
    made = []
    for label, think, no_think, solved in zip(LABELS, THINK, NO_THINK, SOLVED, strict=True):
        made += rows(think=think, no_think=no_think, model=label)
        made += rows("sums", think=solved, no_think=[0] * 4, model=label, kind="reasoning")
    return Table(from_rows(made, "run"))


def verdicts(values: list[Any]) -> dict[str, list[Any]]:
    return {f"doors-{index:03d}": [value] for index, value in enumerate(values)}


def test_base_against_tuned_is_paired_by_prompt(table: Table) -> None:
    report = build_series(table, LABELS)
    assert report.comparison.reference == "base"
    doors = next(each for each in report.comparison.sets if each.dataset == "doors")
    last = doors.rows[-1]
    assert last.model == "step-3"
    by_quantity = {each.quantity: each for each in last.against}
    hand = paired_difference(
        verdicts(THINK[-1]), verdicts(THINK[0]), target_name="step-3", reference_name="base"
    )
    think = by_quantity["think"]
    assert (think.value, think.lower, think.upper) == (hand.difference, hand.lower, hand.upper)
    assert think.n == 7
    changes = [
        (t1 - n1) - (t0 - n0)
        for t1, n1, t0, n0 in zip(THINK[-1], NO_THINK[-1], THINK[0], NO_THINK[0], strict=True)
        if t1 is not None
    ]
    change = by_quantity["change"]
    assert change.value == pytest.approx(100 * sum(changes) / 7)
    assert change.lower < change.value < change.upper


def test_the_trend_is_that_of_the_prompts_scored_in_every_model(table: Table) -> None:
    report = build_series(table, LABELS)
    hand = paired_trend({label: verdicts(v) for label, v in zip(LABELS, THINK, strict=True)})
    trend = report.trend("doors", "harmful", "think")
    assert trend is not None
    assert (trend.value, trend.lower, trend.upper) == (hand.trend, hand.lower, hand.upper)
    assert (trend.p_value, trend.n, trend.n_left_out) == (hand.p_value, 7, 1)
    assert trend.value > 0
    accuracy = report.trend("sums", "reasoning", "think")
    assert accuracy is not None
    assert accuracy.value < 0


def test_the_trend_of_the_score_is_the_difference_of_the_modes_trends(table: Table) -> None:
    """On prompts that are scored everywhere it is linear: the change's slope is the slopes' difference."""
    whole = table.where(table.frame["prompt_id"] != "doors-007")
    report = build_series(whole, LABELS)
    value = {
        quantity: trend.value
        for quantity in ("think", "no_think", "change")
        if (trend := report.trend("doors", "harmful", quantity))
    }
    assert value["change"] == pytest.approx(value["think"] - value["no_think"])
    score = report.trend("doors", "harmful", "change")
    assert score is not None
    assert score.lower < score.value < score.upper


def test_two_models_have_a_difference_and_no_trend(table: Table) -> None:
    two = table.where(table.frame["model"].isin(["base", "step-1"]))
    assert build_series(two, ["base", "step-1"]).trends == ()


def test_a_model_without_logs_is_left_out_and_named(table: Table) -> None:
    three = table.where(table.frame["model"] != "step-2")
    report = build_series(three, LABELS)
    assert report.left_out == ("step-2",)
    assert report.comparison.models == ("base", "step-1", "step-3")
    assert "not complete: step-2" in series_markdown(report)


def test_without_its_base_there_is_nothing_to_compare_with(table: Table) -> None:
    others = table.where(table.frame["model"] != "base")
    with pytest.raises(RimError, match="base, the base of the series, is not finished"):
        build_series(others, LABELS)


def test_every_form_names_the_reference_and_what_a_trend_does_not_say(table: Table) -> None:
    report = build_series(table, LABELS)
    assert SeriesReport.model_validate_json(report.model_dump_json()) == report
    for page in (series_text(report), series_markdown(report), series_html(report)):
        assert "base" in page
        assert "not independent" in page
        assert "RIM score" in page
    html = series_html(report)
    assert html.count("<svg") >= 4  # both curves, each for a wide and a narrow screen
    assert "Over training: doors" in html
    assert "Over training: sums" in html


def test_the_trend_takes_the_steps_that_are_given(table: Table) -> None:
    steps = [0, 10, 20, 100]
    report = build_series(table, LABELS, steps=steps)
    arms = {label: verdicts(v) for label, v in zip(LABELS, THINK, strict=True)}
    trend = report.trend("doors", "harmful", "think")
    assert trend is not None
    assert trend.value == paired_trend(arms, scores=steps).trend
    assert trend.value != paired_trend(arms).trend
    assert "stand at 0, 10, 20, 100" in series_markdown(report)
    three = build_series(table.where(table.frame["model"] != "step-2"), LABELS, steps=steps)
    assert three.steps == (0, 10, 100)


@pytest.mark.parametrize("steps", [[0, 1, 2], [0, 1, 1, 2], [3, 2, 1, 0]])
def test_steps_that_do_not_fit_are_refused(table: Table, steps: list[float]) -> None:
    with pytest.raises(RimError, match="give 4 increasing numbers, one for each of base"):
        build_series(table, LABELS, steps=steps)
