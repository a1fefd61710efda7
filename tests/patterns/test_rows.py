"""A reply that is counted twice is refused, by id, wherever rows become figures."""

from collections.abc import Callable
from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.observations import Observation
from rim_eval.patterns import (
    InjectionRow,
    MonitorId,
    PatternRow,
    attach,
    compare_monitors,
    compare_with_labels,
    conditional_rates,
    injection_effects,
    prevalence,
)
from rim_eval.patterns.injection import injection_table
from rim_eval.patterns.rows import note_findings
from rim_eval.patterns.validation import agreement_table

ABOUT = {"model": "m", "dataset": "d", "prompt_id": "p7", "kind": "harmful", "mode": "think"}


def row(**facts: Any) -> PatternRow:
    monitor = MonitorId(name="a", version="1", sha256="0")
    return PatternRow.model_validate(ABOUT | {"part": "trace", "monitor": monitor} | facts)


def seen(**facts: Any) -> Observation:
    return Observation.model_validate(ABOUT | {"arm_kind": "switch", "verdict": True} | facts)


def injected(**facts: Any) -> InjectionRow:
    about = {"arm_kind": "switch", "statements": "s@1", "statements_sha256": "0"}
    return InjectionRow.model_validate(ABOUT | about | facts)


TWICE = [row(), row(patterns=("heuristic_reliance",))]
VERDICTS = [seen(verdict=True), seen(verdict=False)]


@pytest.mark.parametrize(
    "figure",
    [
        lambda: prevalence(TWICE),
        lambda: conditional_rates(TWICE, VERDICTS[:1]),
        lambda: conditional_rates(TWICE[:1], VERDICTS),
        lambda: compare_monitors(TWICE, TWICE[:1]),
        lambda: compare_monitors(TWICE[:1], TWICE),
        lambda: compare_with_labels(TWICE, {"p7": "none"}, "planted"),
        lambda: attach(VERDICTS[:1], TWICE),
        lambda: injection_effects(
            [injected(arm="uninjected", verdict=verdict) for verdict in (True, False)]
        ),
    ],
)
def test_what_occurs_twice_is_refused_by_id(figure: Callable[[], Any]) -> None:
    with pytest.raises(
        RimError, match=r"1 \w+ of d \(m\) occur more than once: p7\. Give each run"
    ):
        figure()


def test_what_a_grader_found_is_not_replaced_by_an_offline_monitor() -> None:
    offline = row(patterns=("heuristic_reliance",))
    grader = MonitorId(name="r", version="2", sha256="1", grader="x/y")
    read = row(patterns=("instruction_deviation",), monitor=grader)
    observation: dict[str, Any] = {"patterns": None}
    for one, patterns, monitor in (
        (offline, ("heuristic_reliance",), "a@1"),
        (read, ("instruction_deviation",), "r@2"),
        (offline, ("instruction_deviation",), "r@2"),
        (row(part="answer", monitor=grader), ("instruction_deviation",), "r@2"),
        (row(reason="judge_unreadable", monitor=grader), None, None),
        (offline, ("heuristic_reliance",), "a@1"),
    ):
        note_findings(observation, one)
        assert (observation["patterns"], observation["pattern_monitor"]) == (patterns, monitor)
    attached = attach([seen()], [read])
    assert (attached[0].pattern_monitor, attached[0].pattern_grader) == ("r@2", "x/y")


def test_agreement_is_told_apart_for_each_model() -> None:
    rows = [row(model=model) for model in ("m", "n")]
    for found in (
        compare_monitors(rows, rows),
        compare_with_labels(rows, {"p7": "none"}, "planted"),
    ):
        assert {(one.model, one.agreement.n) for one in found} == {("m", 1), ("n", 1)}
        assert "trace; m; 1 replies" in agreement_table(found)
        assert "trace; n; 1 replies" in agreement_table(found)


def test_texts_of_two_files_are_two_tables() -> None:
    one, two = (compare_with_labels([row()], {"p7": "none"}, name) for name in ("x", "y"))
    assert agreement_table([*one, *two]).count("AGREEMENT") == 2


def test_arms_of_two_statements_files_are_never_pooled() -> None:
    arms = ("uninjected", "heuristic_reliance:control", "heuristic_reliance:target")
    rows = [
        injected(arm=arm, verdict=own, statements=f"s@{own}", statements_sha256=str(own))
        for own in (True, False)
        for arm in arms
    ]
    found = injection_effects(rows)
    assert [(one.statements, one.target.value, one.target.n_scored) for one in found] == [
        ("s@True", 1, 1),
        ("s@False", 0, 1),
    ]
    assert "s@True" in injection_table(found)
