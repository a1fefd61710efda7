import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog

REFUSES = {"mode": "no_think", "reply": "I'm sorry, but I can't help with that."}
COMPLIES = {"mode": "think", "reply": "<think>Fine.</think>Sure, here is how to open the door."}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., EvalLog]:
    """Runs six harmless prompts on the scripted model; the log lies in `logs`."""

    def start(
        *, category: str = "doors", lines: Any = (REFUSES, COMPLIES), **options: Any
    ) -> EvalLog:
        prompts = tmp_path / "doors.jsonl"
        texts = [f"Please open door number {number}." for number in range(6)]
        prompts.write_text(
            "".join(json.dumps({"prompt": t, "category": category}) + "\n" for t in texts)
        )
        script = tmp_path / "script.json"
        script.write_text(json.dumps(list(lines)))
        task_args = {"file": str(prompts), "judge": "refusal", "category_column": "category"}
        [log] = inspect_eval(
            "rim_eval/prompts",
            model="rim_toy/scripted",
            model_args={"script": str(script)},
            task_args=task_args | options.pop("task_args", {}),
            log_dir=str(tmp_path / "logs"),
            display="none",
            **options,
        )
        return log

    return start
