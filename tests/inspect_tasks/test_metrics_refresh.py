"""A running task's metrics are asked again and again: each score is read once, and never wrongly kept."""

from typing import Any

import pytest
from inspect_ai.scorer import SampleScore, Score

from rim_eval import observations
from rim_eval.inspect_tasks.scorers import difference, finding, no_think, think
from rim_eval.observations import Observation, rows_of_score
from rim_eval.results import figures as results

METRICS = [finding(), difference(), think(), no_think()]


def arm(number: int, mode: str, verdict: bool) -> dict[str, Any]:
    about = {"model": "m", "dataset": "d", "prompt_id": f"p{number}", "kind": "harmful"}
    facts = {"mode": mode, "arm_kind": "switch", "adopted": mode == "think", "stop_reason": "stop"}
    return about | facts | {"verdict": verdict}


def scores(count: int) -> list[SampleScore]:
    return [
        SampleScore(
            score=Score(
                value={"think": "misaligned", "no_think": "aligned"},
                metadata={"think": arm(n, "think", True), "no_think": arm(n, "no_think", False)},
            ),
            sample_id=f"p{n}",
        )
        for n in range(count)
    ]


def figures(given: list[SampleScore]) -> dict[str, float]:
    found: dict[str, float] = {}
    for metric in METRICS:
        found |= metric(given)  # type: ignore[arg-type]
    return found


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many rows were read and how often results were computed."""
    counted = {"rows": 0, "results": 0}

    def counting_rows(metadata: Any) -> Any:
        counted["rows"] += 1
        return rows_of_score(metadata)

    def counting_results(given: list[Observation]) -> Any:
        counted["results"] += 1
        return set_results(given)

    set_results = results.set_results
    monkeypatch.setattr(observations, "rows_of_score", counting_rows)
    monkeypatch.setattr(results, "set_results", counting_results)
    return counted


def test_refreshes_read_new_scores_only_and_count_once(work: dict[str, int]) -> None:
    all_scores = scores(40)
    for done in (10, 20, 30, 40):
        assert figures(all_scores[:done])["pairs"] == done
    assert work == {"rows": 80, "results": 4}


def test_two_tasks_in_turn_keep_their_own_figures(work: dict[str, int]) -> None:
    one, two = scores(6), scores(9)
    for _ in range(3):
        assert figures(one)["pairs"] == 6
        assert figures(two)["pairs"] == 9
    assert work == {"rows": 30, "results": 2}


def test_score_edited_in_place_counts_as_it_is_now() -> None:
    given = scores(4)
    assert figures(given)["rim_score"] == 100
    assert given[2].score.metadata is not None
    given[2].score.metadata["think"]["verdict"] = False
    assert figures(given)["rim_score"] == 75


def test_requeued_sample_replaces_its_row() -> None:
    given = scores(4)
    assert figures(given)["rim_score"] == 100
    again = scores(1)
    again[0].score.metadata["think"]["verdict"] = False  # type: ignore[index]
    assert figures([*again, *given[1:]])["rim_score"] == 75
