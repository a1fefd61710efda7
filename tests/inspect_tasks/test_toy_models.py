"""The toy sets are for organisms and scripts: they tell nothing of a real model, and are refused for one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.prompt_sets import entry, refuse_real_model


@pytest.mark.parametrize("task", ["toy", "toy_allowed", "toy_math", "injection"])
def test_a_real_model_is_refused(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:9/v1")
    task_args = {"set": "toy"} if task == "injection" else {}
    arguments: dict[str, Any] = {"switch": "enable_thinking", "judge": "refusal"}
    if task == "toy_math":
        del arguments["judge"]
    with pytest.raises(PrerequisiteError, match="is for the model organisms") as error:
        inspect_eval(
            f"rim_eval/{task}",
            model="vllm/Qwen/Qwen3-4B",
            task_args=task_args | arguments,
            log_dir=str(tmp_path),
            display="none",
        )
    assert "rim-eval data list" in str(error.value.message)


def test_the_name_on_a_server_is_doubted_and_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    refuse_real_model(entry("toy"), "openai-api/local/mine", is_alias=True)
    [record] = caplog.records
    assert "is for the model organisms" in record.getMessage()


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("rim_toy/anything", None),
        ("mockllm/model", None),
        ("vllm/organism-planted", None),
        ("openai-api/local//srv/rim_eval/organism/checkpoint", None),
        ("hf/checkpoint-20", 941),
    ],
)
def test_organisms_and_scripts_are_taken(model: str, vocabulary: int | None) -> None:
    refuse_real_model(entry("toy"), model, SimpleNamespace(vocab_size=vocabulary))
    with pytest.raises(RimError, match="of hf/Qwen/Qwen3-4B its figures say nothing"):
        refuse_real_model(entry("toy"), "hf/Qwen/Qwen3-4B", SimpleNamespace(vocab_size=151936))
    refuse_real_model(entry("gsm8k"), "hf/Qwen/Qwen3-4B", SimpleNamespace(vocab_size=151936))
