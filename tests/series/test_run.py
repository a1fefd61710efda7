"""A series that is stopped and given again: nothing is lost, and no finished prompt is asked again.

That all of its processes are killed at once is tested on a suite, which runs in the same way (tests/suite).
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from rim_eval.observations import read_observations
from rim_eval.series import (
    SeriesSettings,
    finished_logs,
    open_series,
    parse_models,
    run_series,
)
from rim_eval.suite.jobs import Failure

DOORS = [f"Please open door number {number}." for number in range(1, 9)]
MODELS = ["base", "step-1", "step-2"]

FAULTS = pytest.mark.skipif(
    not os.environ.get("RIM_EVAL_FAULTS"), reason="half a minute: run with RIM_EVAL_FAULTS=1"
)

Asked = tuple[str, str, bool]
"""The model, the prompt and whether it is to be thought about."""


class Answers:
    """Answers every request and keeps count; holds back those after the first `most` of one model."""

    def __init__(self) -> None:
        self.asked = Counter[Asked]()
        self.answered = Counter[Asked]()
        self.held_model, self.most = "", 10**9
        self.holding, self.released = Event(), Event()

    def say(self, model: str, prompt: str, thinks: bool) -> dict[str, Any]:
        key = (model, prompt, thinks)
        self.asked[key] += 1
        if model == self.held_model and self.of(self.asked, model) > self.most:
            self.holding.set()
            self.released.wait(60)
        self.answered[key] += 1
        return {}

    @staticmethod
    def of(counts: Counter[Asked], model: str) -> int:
        return sum(n for (name, *_), n in counts.items() if name == model)


@pytest.fixture
def answers(serve_chat: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Answers]:
    """A server of every model, found by the processes that a test starts."""
    answers = Answers()
    server = serve_chat(lambda *_: {})
    reply = server.answer

    def answer(method: str, path: str, body: dict[str, Any]) -> Any:
        if path.endswith("/completions"):
            thinks = body["chat_template_kwargs"]["enable_thinking"]
            answers.say(body["model"], body["messages"][-1]["content"], thinks)
        return reply(method, path, body)

    server.answer = answer
    monkeypatch.setenv("LOCAL_BASE_URL", server.url)
    monkeypatch.setenv("LOCAL_API_KEY", "x")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("INSPECT_DISPLAY", "none")
    yield answers
    answers.released.set()


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], "subprocess.Popen[str]"]:
    """Starts the command in a process group of its own."""
    doors = tmp_path / "doors.jsonl"
    doors.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in DOORS))
    words = [f"openai-api/local/{name}" for name in MODELS]
    words += ["--tasks", "prompts", "-T", f"file={doors}", "-T", "judge=refusal"]
    words += ["-T", "switch=enable_thinking", "--max-connections", "3"]
    words += ["--log-dir", str(tmp_path / "series")]
    program = "import sys; from rim_eval.cli import main; main(['series', *sys.argv[1:]])"

    def run() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return run


def kill_parent(process: "subprocess.Popen[str]") -> None:
    process.kill()


def interrupt(process: "subprocess.Popen[str]") -> None:
    """As a terminal does at Ctrl-C."""
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [pytest.param(kill_parent, marks=FAULTS), interrupt])
def test_stopped_in_the_middle_and_given_again(
    kill: Callable[["subprocess.Popen[str]"], None],
    answers: Answers,
    start: Callable[[], "subprocess.Popen[str]"],
    tmp_path: Path,
) -> None:
    answers.held_model, answers.most = "step-1", 9
    process = start()
    assert answers.holding.wait(120), process.communicate()
    time.sleep(2)  # samples whose replies are in are scored and kept
    kill(process)
    process.wait()
    before, answered = answers.asked.copy(), answers.answered.copy()
    wait_until_free(tmp_path / "series")
    answers.held_model = ""
    answers.released.set()

    done = start()
    output, _ = done.communicate(timeout=240)
    assert done.returncode == 0, output

    whole = {("step-1", door) for door in DOORS if all(answered["step-1", door, t] for t in (True, False))}  # fmt: skip
    assert 0 < len(whole) < len(DOORS)
    for model, door in ((model, door) for model in MODELS for door in DOORS):
        for thinks in (True, False):
            times = answers.asked[model, door, thinks]
            begun = before[model, door, thinks]
            # Where a reply was still out, its prompt is asked once more, in both modes.
            again = model == "step-1" and (model, door) not in whole
            assert times == begun + 1 if again else times == 1, (model, door, thinks)
    assert Answers.of(before, "base") == Answers.of(answers.asked, "base") == 16
    assert Answers.of(before, "step-2") == 0

    settings = SeriesSettings.model_validate_json((tmp_path / "series" / "series.json").read_text())
    logs = finished_logs(tmp_path / "series", settings)
    table = read_observations(
        f"{label}={path}" for label in MODELS for path in logs[label].values()
    )
    assert len(table.frame) == len(MODELS) * len(DOORS) * 2
    assert table.frame["verdict"].notna().all()
    assert not table.problems
    assert (tmp_path / "series" / "cards" / "step-2" / "card.json").is_file()
    assert (tmp_path / "series" / "cards" / "series_report.html").is_file()

    asked = answers.asked.copy()
    again_done = start()
    output, _ = again_done.communicate(timeout=240)
    assert again_done.returncode == 0, output
    assert answers.asked == asked
    assert "2/3 step-1: 8/8 prompts" in output


def wait_until_free(folder: Path) -> None:
    """Wait until no process holds the series: a child whose parent is gone ends by itself."""
    import fcntl

    for _ in range(600):
        with (folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.1)
    raise AssertionError("a child of a killed command runs on")


@pytest.mark.slow
def test_a_second_command_at_the_same_time_is_refused(
    answers: Answers, start: Callable[[], "subprocess.Popen[str]"]
) -> None:
    answers.held_model, answers.most = "base", 0
    first = start()
    assert answers.holding.wait(120), first.communicate()
    second = start()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "another process is running this series" in output
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()


def scripted(folder: Path, tasks: tuple[str, ...], words: list[str]) -> tuple[Failure, ...]:
    doors = folder / "doors.jsonl"
    doors.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in DOORS))
    arguments = {"file": str(doors), "judge": "refusal"}
    settings = SeriesSettings(models=parse_models(words), tasks=tasks, task_args=arguments)
    open_series(folder / "series", settings)
    return run_series(folder / "series", settings, lambda *_: None, lambda _: None)


@pytest.mark.slow
def test_a_model_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    words = ["rim_toy/base", f"hf/{tmp_path}/nowhere", "rim_toy/last"]
    [failure] = scripted(tmp_path, ("rim_eval/prompts",), words)
    assert failure.label == "nowhere"
    assert "nowhere" in failure.reason
    settings = SeriesSettings.model_validate_json((tmp_path / "series" / "series.json").read_text())
    logs = finished_logs(tmp_path / "series", settings)
    assert [len(logs[label]) for label in ("base", "nowhere", "last")] == [1, 0, 1]
