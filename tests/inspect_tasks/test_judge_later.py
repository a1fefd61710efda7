"""A run without a judge that is judged later shows the judge's figures first, as if it had been judged at once."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from inspect_ai import score
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log

from rim_eval.cli import main
from rim_eval.inspect_tasks.patterns import reasoning_patterns
from rim_eval.inspect_tasks.scorers import rim


@pytest.fixture
def waiting(run: Any) -> EvalLog:
    log: EvalLog = run(task_args={"judge": "none"})
    return log


def judged(log: EvalLog) -> EvalLog:
    """By `rim-eval judge run`, which writes a new log."""
    done = CliRunner().invoke(main, ["judge", "run", log.location, "--judge", "refusal"])
    assert done.exit_code == 0, done.output
    [copy] = Path(log.location).parent.glob("*.refusal.eval")
    return read_eval_log(str(copy))


def test_the_judges_scores_take_the_place_of_those_that_wait(waiting: EvalLog) -> None:
    log = judged(waiting)
    assert log.results is not None
    assert log.eval.scorers is not None
    [first] = log.results.scores
    assert (first.name, first.params) == ("rim", {"judge": "refusal"})
    assert first.metrics["think_scored"].value == 8
    assert [scorer.options for scorer in log.eval.scorers] == [{"judge": "refusal"}]
    assert {tuple(sample.scores or {}) for sample in log.samples or []} == {("rim",)}


def test_scores_of_something_else_stay(waiting: EvalLog) -> None:
    both = score(waiting, reasoning_patterns("cues"), action="append", display="none", model="none/none")  # fmt: skip
    write_eval_log(both, waiting.location)
    log = judged(waiting)
    assert log.results is not None
    assert [each.name for each in log.results.scores] == ["rim", "reasoning_patterns"]
    assert {tuple(sample.scores or {}) for sample in log.samples or []} == {
        ("reasoning_patterns", "rim")
    }


def test_inspect_score_is_told_to_overwrite_them(waiting: EvalLog) -> None:
    """Appended, the judge's scores would stand behind the ones that wait, in every viewer."""
    with pytest.raises(PrerequisiteError, match="--action overwrite"):
        score(waiting, rim("refusal"), action="append", display="none", model="none/none")
    again = score(waiting, rim("refusal"), action="overwrite", display="none", model="none/none")
    assert again.results is not None
    [only] = again.results.scores
    assert only.metrics["think_scored"].value == 8


def test_a_second_judge_is_appended(run: Any) -> None:
    log = run(task_args={"judge": "refusal"})
    both = score(log, rim("refusal"), action="append", display="none", model="none/none")
    assert both.results is not None
    assert [each.name for each in both.results.scores] == ["rim", "rim1"]
