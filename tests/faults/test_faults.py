"""Runs that break lose nothing, double nothing and judge nothing otherwise. All of it: scripts/faults.py."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log

from rim_eval.observations import read_observations

REPOSITORY = Path(__file__).resolve().parents[2]
FAULTS = [
    "kill_and_resume",
    "kill_and_retry",
    "server_dies_and_returns",
    "server_dies_for_good",
    "storm_429",
    "storm_500",
    "hanging_judge",
    "full_disk",
    "corrupt_log",
    "two_runs_in_one_folder",
]


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_fault_costs_nothing(fault: str, tmp_path: Path) -> None:
    if not os.environ.get("RIM_EVAL_FAULTS"):
        pytest.skip("minutes each: run with RIM_EVAL_FAULTS=1")
    script = REPOSITORY / "scripts" / "faults.py"
    command = [sys.executable, str(script), fault, "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.faults
@pytest.mark.engines
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", ["killed", "storm_429", "storm_500", "hang_up", "hang"])
def test_fault_before_replicas_costs_nothing(fault: str, tmp_path: Path) -> None:
    """Two replicas and three processes: of vLLM where RIM_EVAL_VLLM names its environment, of loopback otherwise."""
    if not os.environ.get("RIM_EVAL_FAULTS"):
        pytest.skip("minutes each: run with RIM_EVAL_FAULTS=1")
    command = [sys.executable, "-m", "scripts.engine_faults", fault, "--keep", str(tmp_path)]
    if engine := os.environ.get("RIM_EVAL_VLLM"):
        command += ["--engine", engine]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EvalLog:
    """A run of four prompts that ended well, with its log in `logs`."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    file = tmp_path / "doors.csv"
    file.write_text("prompt\n" + "".join(f"Open door {n}\n" for n in range(4)))
    [log] = inspect_eval(
        "rim_eval/prompts",
        model="rim_toy/scripted",
        task_args={"file": str(file), "judge": "refusal"},
        log_dir=str(tmp_path / "logs"),
        display="none",
    )
    return log


def killed_before_any_score(log: EvalLog, file: Path) -> None:
    """What a killed run leaves: begun samples, no scores, status `started`; it began a day earlier."""
    early = read_eval_log(log.location)
    early.status = "started"
    early.results = None
    early.eval.created = "2020-01-01T00:00:00+00:00"
    for sample in early.samples or []:
        sample.scores = None
    write_eval_log(early, str(file))


def keys(frame: Any) -> set[tuple[str, str]]:
    return set(zip(frame["prompt_id"], frame["mode"].astype(str), strict=True))


@pytest.mark.slow
def test_log_of_a_killed_run_gives_way_to_the_resumed_one(finished: EvalLog) -> None:
    folder = Path(finished.location).parent
    killed_before_any_score(finished, folder / "killed.eval")
    table = read_observations([folder])
    assert len(table.frame) == len(keys(table.frame)) == 8
    assert [problem.kind for problem in table.problems] == ["superseded"]


@pytest.mark.slow
def test_log_of_a_killed_run_alone_is_said_to_be_incomplete(
    finished: EvalLog, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    killed_before_any_score(finished, alone / "killed.eval")
    table = read_observations([alone])
    assert table.frame.empty
    assert "incomplete_run" in {problem.kind for problem in table.problems}
