"""Pairs stay whole, or are reported as half: whatever slices, repeats, retries or scores again."""

from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai import eval_retry, eval_set, score
from inspect_ai.log import EvalLog, read_eval_log

from rim_eval.inspect_tasks.scorers import rim
from rim_eval.observations import Observation, from_inspect_log
from rim_eval.results.figures import set_results

REFUSES = {"mode": "no_think", "reply": "I'm sorry, but I can't help with that."}
COMPLIES = {"mode": "think", "reply": "<think>Fine.</think>Sure, here is how to open the door."}


def metrics(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    [found] = log.results.scores
    return {key: metric.value for key, metric in found.metrics.items()}


def pairs(log: EvalLog) -> dict[tuple[str, int], set[str]]:
    found: dict[tuple[str, int], set[str]] = {}
    for row in from_inspect_log(log):
        found.setdefault((row.prompt_id, row.epoch), set()).add(row.mode)
    return found


def whole(log: EvalLog) -> bool:
    return all(modes == {"think", "no_think"} for modes in pairs(log).values())


@pytest.mark.slow
def test_full_run_gives_rates_and_their_paired_difference(run: Any, script: Any) -> None:
    log = run(script([REFUSES, COMPLIES]))
    assert log.status == "success"
    assert metrics(log)["think_misaligned"] == 1
    assert metrics(log)["no_think_misaligned"] == 0
    rim_metrics = metrics(log)
    assert rim_metrics["rim_score"] == 100
    assert rim_metrics["pairs"] == 8
    assert rim_metrics["mode_verified"] == 1


@pytest.mark.slow
def test_limit_shuffle_and_sample_id_keep_pairs_whole(run: Any, script: Any) -> None:
    lines = script([REFUSES, COMPLIES])
    limited = run(lines, limit=3)
    assert whole(limited)
    assert len(pairs(limited)) == 3
    shuffled = run(lines, limit=5, sample_shuffle=7)
    assert whole(shuffled)
    one = str(from_inspect_log(shuffled)[0].prompt_id)
    chosen = run(lines, sample_id=one)
    assert whole(chosen)
    assert list(pairs(chosen)) == [(one, 1)]


@pytest.mark.slow
def test_epochs_repeat_whole_pairs(run: Any, script: Any) -> None:
    log = run(script([REFUSES, COMPLIES]), epochs=3)
    assert whole(log)
    assert len(pairs(log)) == 24
    assert metrics(log)["pairs"] == 8


@pytest.mark.slow
def test_eval_set_with_raised_limit_runs_the_missing_prompts(
    tmp_path: Path, doors: Path, script: Any
) -> None:
    lines = script([REFUSES, COMPLIES])

    def start(limit: int) -> list[EvalLog]:
        done, logs = eval_set(
            "rim_eval/prompts",
            log_dir=str(tmp_path / "set"),
            model="rim_toy/scripted",
            model_args={"script": lines},
            task_args={"file": str(doors), "judge": "refusal"},
            limit=limit,
            display="none",
        )
        assert done
        return [read_eval_log(log.location) for log in logs]

    assert {len(pairs(log)) for log in start(5)} == {5}
    longest = max(start(8), key=lambda log: len(pairs(log)))
    assert len(pairs(longest)) == 8
    assert whole(longest)


@pytest.mark.slow
def test_failing_arm_is_a_half_pair_and_retry_mends_it(
    run: Any, script: Any, tmp_path: Path
) -> None:
    broken = {"when": "number 3", "mode": "think", "reply": "engine is gone", "error": True}
    lines = script([broken, REFUSES, COMPLIES])
    log = run(lines)
    assert log.status == "error"
    rows = from_inspect_log(log)
    assert len(rows) == 16
    [lost] = [row for row in rows if row.reason == "engine_error"]
    assert lost.mode == "think"
    figures = metrics(log)
    assert (figures["pairs"], figures["unpaired"]) == (7, 1)
    assert figures["rim_score_bound_lower"] < figures["rim_score"]

    script([REFUSES, COMPLIES])
    [mended] = eval_retry(log, log_dir=str(tmp_path / "logs"), display="none")
    assert mended.status == "success"
    assert metrics(mended)["pairs"] == 8


@pytest.mark.slow
def test_scoring_again_needs_no_generation_and_keeps_pairs(run: Any, script: Any) -> None:
    log = run(script([REFUSES, COMPLIES]), task_args={"judge": "none"})
    assert {row.reason for row in from_inspect_log(log)} == {"not_judged"}
    again = score(log, rim(judge="refusal"), action="overwrite", display="none", model="none/none")
    assert whole(again)
    assert metrics(again)["rim_score"] == 100


@pytest.mark.slow
def test_one_mode_alone_reports_no_difference(run: Any, script: Any) -> None:
    log = run(script([REFUSES, COMPLIES]), task_args={"modes": "think"})
    assert {row.mode for row in from_inspect_log(log)} == {"think"}
    assert "rim_score" not in metrics(log)
    assert not [name for name in metrics(log) if name.startswith("no_think_")]


@pytest.mark.slow
def test_summary_is_the_same_whatever_the_order(run: Any, script: Any) -> None:
    rows: list[Observation] = from_inspect_log(run(script([REFUSES, COMPLIES]), epochs=2))
    forward, backward = set_results(rows), set_results(rows[::-1])
    assert forward["harmful"].counts.arms == backward["harmful"].counts.arms
    assert forward["harmful"].figures == backward["harmful"].figures


@pytest.mark.slow
def test_two_models_at_once_keep_their_own_pairs(script: Any, doors: Path, tmp_path: Path) -> None:
    logs = inspect_eval(
        "rim_eval/prompts",
        model=["rim_toy/one", "rim_toy/two"],
        task_args={"file": str(doors), "judge": "refusal"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    assert {log.eval.model for log in logs} == {"rim_toy/one", "rim_toy/two"}
    assert all(whole(log) for log in logs)
