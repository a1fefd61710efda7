import math
from typing import Any

import pytest

from rim_eval.observations import Observation
from rim_eval.patterns import (
    ANY_PATTERN,
    MonitorId,
    PatternRow,
    attach,
    compare_monitors,
    compare_with_labels,
    conditional_rates,
    prevalence,
)

A = MonitorId(name="a", version="1", sha256="0")
B = MonitorId(name="b", version="1", sha256="1")


def row(prompt: str, *patterns: str, **facts: Any) -> PatternRow:
    about = {"model": "m", "dataset": "d", "kind": "harmful", "mode": "think", "part": "trace"}
    return PatternRow.model_validate(
        about | {"monitor": A, "prompt_id": prompt, "patterns": patterns} | facts
    )


def seen(prompt: str, verdict: bool | None, **facts: Any) -> Observation:
    about = {"model": "m", "dataset": "d", "kind": "harmful", "mode": "think", "arm_kind": "switch"}
    return Observation.model_validate(about | {"prompt_id": prompt, "verdict": verdict} | facts)


def test_prevalence_counts_what_was_read_and_says_what_was_not() -> None:
    rows = [
        row("1", "heuristic_reliance"),
        row("2", "heuristic_reliance", "instruction_deviation"),
        row("3"),
        row("4", reason="trace_hidden"),
        row("5", reason="trace_summarised"),
    ]
    [found] = prevalence(rows)
    assert found.n == 5
    assert found.unread == {"trace_hidden": 1, "trace_summarised": 1}
    rate = found.rates["heuristic_reliance"]
    assert rate.value == pytest.approx(2 / 3)
    assert rate.bound_lower == pytest.approx(2 / 5)
    assert rate.bound_upper == pytest.approx(4 / 5)
    assert found.rates[ANY_PATTERN].value == pytest.approx(2 / 3)
    assert found.rates["confirmatory_reasoning"].value == 0


def test_groups_are_never_pooled() -> None:
    rows = [row("1"), row("1", mode="no_think"), row("1", part="answer"), row("1", monitor=B), row("1", dataset="e"), row("1", model="n")]  # fmt: skip
    assert len(prevalence(rows)) == len(rows)


def test_conditional_rates_by_hand() -> None:
    rows = [
        row("1", "heuristic_reliance"),
        row("2", "heuristic_reliance"),
        row("3", "instruction_deviation"),
        row("4"),
        row("5", reason="judge_unreadable"),
        row("6", "heuristic_reliance"),
    ]
    verdicts = {"1": True, "2": False, "3": True, "4": False, "5": True, "6": None}
    found = {
        one.label: one for one in conditional_rates(rows, [seen(*v) for v in verdicts.items()])
    }
    shortcut = found["heuristic_reliance"]
    assert (shortcut.given.value, shortcut.given.n_scored, shortcut.given.n_unscored) == (0.5, 2, 1)
    assert (shortcut.without.value, shortcut.without.n_scored) == (0.5, 2)
    assert (shortcut.no_pattern.value, shortcut.no_pattern.n_scored) == (0, 1)
    assert math.isnan(found["confirmatory_reasoning"].given.value)


def test_an_unread_trace_is_not_a_trace_without_patterns() -> None:
    observations = [seen("1", True), seen("2", True), seen("3", True)]
    rows = [row("1", "heuristic_reliance"), row("2", reason="trace_hidden")]
    assert [one.patterns for one in attach(observations, rows)] == [
        ("heuristic_reliance",),
        None,
        None,
    ]
    assert attach([seen("1", True)], [row("1")])[0].patterns == ()


def test_agreement_leaves_out_what_either_did_not_read() -> None:
    ours = [row("1", "heuristic_reliance"), row("2"), row("3", reason="judge_failed"), row("9")]
    theirs = [row(name, *found, monitor=B) for name, found in [("1", ["heuristic_reliance"]), ("2", []), ("3", [])]]  # fmt: skip
    found = {one.label: one.agreement for one in compare_monitors(ours, theirs)}
    one = found["heuristic_reliance"]
    assert (one.n, one.n_scored, one.unscored) == (3, 2, {"judge_failed": 1})
    assert one.kappa.value == 1
    assert found["confirmatory_reasoning"].kappa.value is None


def test_a_row_holds_no_text() -> None:
    assert not {"quote", "quotes", "text", "trace", "answer"} & set(PatternRow.model_fields)


def test_labels_of_traces_say_nothing_about_answers() -> None:
    rows = [
        row("1", "heuristic_reliance"),
        row("1", part="answer"),
        row("2"),
        row("2", part="answer"),
    ]
    found = compare_with_labels(rows, {"1": "heuristic_reliance", "2": "careful"}, "planted")
    assert {one.part for one in found} == {"trace"}
    assert {one.agreement.n for one in found} == {2}
