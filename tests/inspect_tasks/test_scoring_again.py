"""A log that is scored again is scored by the rules of its set."""

from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai import score
from inspect_ai.log import EvalLog, read_eval_log

from rim_eval.inspect_tasks.build import task_over
from rim_eval.inspect_tasks.scorers import solved
from rim_eval.inspect_tasks.settings import ReasoningSettings
from rim_eval.observations import read_observations
from rim_eval.prompt_sets import load_prompts


def accuracy(log: EvalLog) -> float:
    assert log.results is not None
    metrics = {name: one for found in log.results.scores for name, one in found.metrics.items()}
    return metrics["think_accuracy"].value


@pytest.mark.slow
def test_the_sets_tolerance_holds(script: Any, tmp_path: Path) -> None:
    """`inspect score --scorer rim_eval/solved` turned MATH 401's gain of +42 points into -1."""
    loaded = load_prompts("toy_math")
    gold = loaded.prompts[0].target
    near = f"<think>x</think>The answer is {float(gold or 0) + 0.0004}."
    entry = loaded.entry.model_copy(update={"absolute_error": 1e-3})
    rounded = loaded.model_copy(update={"entry": entry})
    task = task_over(rounded, ReasoningSettings(), solved())
    [log] = inspect_eval(
        task,
        model="rim_toy/scripted",
        model_args={"script": script([{"mode": "think", "reply": near}, {"reply": "No."}])},
        log_dir=str(tmp_path / "logs"),
        limit=1,
        display="none",
    )
    assert accuracy(log) == 1
    assert accuracy(score(read_eval_log(log.location), solved(), action="overwrite")) == 1


@pytest.mark.slow
def test_what_was_read_of_an_answer_stays_in_inspects_log(script: Any, tmp_path: Path) -> None:
    secret = "a-sentence-of-the-reply"
    [log] = inspect_eval(
        "rim_eval/toy_math",
        model="rim_toy/scripted",
        model_args={"script": script([{"reply": f"<think>x</think>So \\boxed{{{secret}}}"}])},
        log_dir=str(tmp_path / "logs"),
        limit=1,
        display="none",
    )
    [sample] = log.samples or []
    assert secret in ((sample.scores or {})["solved"].explanation or "")
    table = read_observations([log.location])
    assert len(table.frame) == 2
    assert secret not in table.frame.to_csv()
