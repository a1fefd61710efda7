"""Tasks of inspect_evals in both modes, on stand-in data: run where the package is installed."""

from pathlib import Path

import pytest

pytest.importorskip("inspect_evals")

from benchmarks.foreign_tasks import TRIALS, Trial, outcome, run


@pytest.mark.slow
@pytest.mark.parametrize("trial", TRIALS, ids=[trial.task for trial in TRIALS])
def test_a_task_runs_and_its_scores_are_read_right(trial: Trial, tmp_path: Path) -> None:
    assert outcome(trial, run(trial, str(tmp_path))).startswith("ok")
