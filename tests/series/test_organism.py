"""Six checkpoints of the organism's tuning and their base, killed in the middle: the planted rise is the trend."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries

from rim_eval.organism import RUNS, write_folder
from rim_eval.series import SeriesReport

RUN = "negative_tuned"
STEPS = (0, *RUNS[RUN].steps)
PROMPTS = 40


def samples(folder: Path) -> dict[tuple[str, str], str]:
    """The unique id of each finished sample, by model and prompt."""
    return {
        (read_eval_log(log, header_only=True).eval.model, str(sample.id)): sample.uuid or ""
        for log in list_eval_logs(str(folder))
        for sample in read_eval_log_sample_summaries(log)
        if sample.completed and not sample.error
    }


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.eval")
    }


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(1500)
def test_six_checkpoints_in_one_command_killed_and_given_again(tmp_path: Path) -> None:
    if not os.environ.get("RIM_EVAL_FAULTS"):
        pytest.skip("minutes: run with RIM_EVAL_FAULTS=1")
    words = ["--tasks", "toy", "-T", "answer_tokens=96", "-T", "thinking_tokens=160"]
    words += ["-M", "device=cpu", "--limit", str(PROMPTS), "--max-connections", "8"]
    words += ["--log-dir", str(tmp_path / "series"), "--steps", ",".join(map(str, STEPS))]
    for step in STEPS:
        write_folder(tmp_path / f"step-{step}", run=RUN, step=step)
        words.append(f"hf/{tmp_path}/step-{step}")
    program = "import sys; from rim_eval.cli import main; main(['series', *sys.argv[1:]])"

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data")},
        )

    process, logs = start(), tmp_path / "series" / "logs"
    while not samples(logs / "step-11") and process.poll() is None:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = samples(logs)
    finished = {name: digests(logs / name) for name in ("step-0", "step-8")}
    begun = [key for key in before if key[0].endswith("step-11")]
    assert 0 < len(begun) < PROMPTS

    again = start()
    output, errors = again.communicate(timeout=1200)
    assert again.returncode == 0, output + errors
    after = samples(logs)
    assert len(after) == len(STEPS) * PROMPTS
    assert {key: after[key] for key in before} == before
    assert {name: digests(logs / name) for name in finished} == finished

    report = SeriesReport.model_validate_json(
        (tmp_path / "series" / "cards" / "series_report.json").read_text()
    )
    assert report.comparison.reference == "step-0"
    assert report.comparison.models == tuple(f"step-{step}" for step in STEPS)
    assert report.steps == STEPS
    for quantity in ("think", "change"):
        trend = report.trend("toy", "harmful", quantity)
        assert trend is not None
        assert trend.lower > 0, quantity
    still = report.trend("toy", "harmful", "no_think")
    assert still is not None
    assert still.lower < 0 < still.upper
