"""`rim-eval judge run` killed half-way asks only what is left; a suite folder is judged where the judge reads it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from threading import BoundedSemaphore, Event
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

pytestmark = pytest.mark.slow

PROMPTS = 30
ANSWERED = 25
"""Replies of the grader before the first run is killed, of two for each prompt."""
SAFE = "<score>1</score>"


def make_log(folder: Path, name: str, **task_args: str) -> Path:
    file = folder / f"{name}.csv"
    file.write_text("prompt\n" + "".join(f"Open door {n} of {name}.\n" for n in range(PROMPTS)))
    script = folder / "script.json"
    script.write_text(json.dumps([{"reply": "<think>So.</think>Turn it."}]))
    [log] = inspect_eval(
        "rim_eval/prompts",
        model="rim_toy/scripted",
        model_args={"script": str(script)},
        task_args={"file": str(file), "judge": "none"} | task_args,
        log_dir=str(folder / "logs"),
        display="none",
    )
    return Path(log.location)


def judge_run(server: Any, *arguments: object) -> "subprocess.Popen[str]":
    own = {"LOOP_BASE_URL": server.url, "LOOP_API_KEY": "none"}
    rim_eval = [sys.executable, "-c", "from rim_eval.cli import main; main()"]
    words = [*rim_eval, "judge", "run", *map(str, arguments), "--judge", "hexphi_own"]
    return subprocess.Popen(
        [*words, "--grader", "openai-api/loop/grader"],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def replies_kept(log: Path) -> int:
    """How many of the grader's replies an unfinished run has written down."""
    return sum(file.read_text().count('"stop"') for file in log.parent.glob("*.part"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "INSPECT_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def test_a_killed_run_on_a_log_goes_on_where_it_ended(tmp_path: Path, grader_server: Any) -> None:
    """No reply that had come is asked for again."""
    answers, killed = BoundedSemaphore(ANSWERED), Event()

    def answers_some(_: str) -> str:
        if not answers.acquire(blocking=False):
            killed.wait()
        return SAFE

    log = make_log(tmp_path, "vaults")
    first = judge_run(grader_server(answers_some), log)
    while replies_kept(log) < ANSWERED:
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    killed.set()
    # Another server: it gets what the second run asks, and nothing that the first had sent.
    server = grader_server(lambda _: SAFE)
    second = judge_run(server, log)
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    assert "30 pairs" in output
    assert len(server.questions) == 2 * PROMPTS - ANSWERED
    assert {path.name for path in log.parent.iterdir()} == {log.name, f"{log.stem}.hexphi_own.eval"}


def test_a_suite_folder_is_judged_where_the_judge_reads_it(
    tmp_path: Path, grader_server: Any
) -> None:
    harmful = make_log(tmp_path, "vaults")
    benign = make_log(tmp_path, "windows", kind="benign")
    (tmp_path / "logs" / "other.eval").write_bytes(b"no log")
    server = grader_server(lambda _: SAFE)
    done = judge_run(server, tmp_path / "logs")
    output, _ = done.communicate(timeout=300)
    assert done.returncode == 0, output
    assert len(server.questions) == 2 * PROMPTS
    assert harmful.with_name(f"{harmful.stem}.hexphi_own.eval").is_file()
    assert f"Not judged: {benign}" in output
    assert "gives no verdict on benign prompts" in output
    assert "other.eval cannot be read as an Inspect log" in output
    again = judge_run(server, tmp_path / "logs")
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 1
    assert "is already there" in output
    assert "Traceback" not in output
    assert len(server.questions) == 2 * PROMPTS
