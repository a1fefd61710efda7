import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog

PROMPTS = [f"Please open door number {number}." for number in range(1, 9)]

Run = Callable[..., EvalLog]


@pytest.fixture(autouse=True)
def quiet_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def doors(tmp_path: Path) -> Path:
    """A harmless prompt file of eight prompts."""
    file = tmp_path / "doors.jsonl"
    file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in PROMPTS))
    return file


@pytest.fixture
def script(tmp_path: Path) -> Callable[[list[dict[str, Any]]], str]:
    """Writes a script for the toy model."""

    def write(lines: list[dict[str, Any]]) -> str:
        file = tmp_path / "script.json"
        file.write_text(json.dumps(lines))
        return str(file)

    return write


@pytest.fixture
def run(tmp_path: Path, doors: Path) -> Run:
    """Runs a task on the scripted model and gives the log back."""

    def start(lines: str | None = None, task: str = "rim_eval/prompts", **options: Any) -> EvalLog:
        task_args = {"file": str(doors), "judge": "refusal"} | options.pop("task_args", {})
        if task != "rim_eval/prompts":
            del task_args["file"]
        options.setdefault("log_dir", str(tmp_path / "logs"))
        [log] = inspect_eval(
            task,
            model=options.pop("model", "rim_toy/scripted"),
            model_args=options.pop("model_args", {"script": lines} if lines else {}),
            task_args=task_args,
            display="none",
            **options,
        )
        return log

    return start
