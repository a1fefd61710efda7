"""Names, child processes and the folder of a series, before anything is asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.model._providers._vllm_lora import parse_vllm_model
from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.series import SeriesSettings, open_series, parse_models, series_plan


def labels(words: Sequence[str]) -> list[str]:
    return [each.label for each in parse_models(words)]


def test_a_model_is_called_by_its_last_part_or_by_the_name_given() -> None:
    words = [
        "hf/Qwen/Qwen3-4B",
        "hf/runs/step-8/",
        "vllm/Qwen/Qwen3-4B:org/adapter@v2",
        "late=hf/runs/final",
    ]
    assert labels(words) == ["Qwen3-4B", "step-8", "adapter@v2", "late"]


def test_a_slash_at_the_end_is_no_part_of_a_name() -> None:
    assert [each.model for each in parse_models(["hf/base/", "hf/step-1"])] == ["hf/base", "hf/step-1"]  # fmt: skip


def test_checkpoints_keep_the_order_given() -> None:
    words = ["hf/base", "hf/run/step-100", "hf/run/step-20", "hf/run/step-3"]
    assert labels(words) == ["base", "step-100", "step-20", "step-3"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hf/base"], "got 1"),
        (["hf/a/final", "hf/b/final"], "final-2=hf/b/final"),
        (["hf/base", "x=hf/run/1", "y=hf/run/1"], "hf/run/1 is given twice"),
        (["hf/base", "step 1=hf/run/1"], "letters, digits"),
    ],
)
def test_models_that_cannot_be_told_apart_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(RimError, match=says.replace("+", r"\+")):
        parse_models(words)


def groups_of(words: Sequence[str]) -> list[list[str]]:
    settings = SeriesSettings(models=parse_models(words), tasks=("rim_eval/toy",))
    return [[each.label for each in group] for group in series_plan(settings).groups()]


def test_models_on_one_server_share_a_child_and_every_other_has_its_own() -> None:
    words = [
        "vllm/org/base",
        "hf/other",
        "vllm/org/base:org/one",
        "vllm/org/base-2:org/one",
        "vllm/org/base:/srv/two@v2",
        "hf/third",
    ]
    named = [f"m{number}={word}" for number, word in enumerate(words)]
    groups = groups_of(named)
    assert groups == [["m0", "m2", "m4"], ["m1"], ["m3"], ["m5"]]


@pytest.mark.parametrize("adapter", ["org/adapter", "/srv/adapter@v2", "preloaded", "http://a/b"])
@pytest.mark.parametrize("base", ["org/base", "/srv/base", "base"])
def test_children_are_divided_as_inspect_divides_its_servers(base: str, adapter: str) -> None:
    """Inspect keeps one server for each base model that it reads off the names."""
    assert parse_vllm_model(f"{base}:{adapter}")[0] == base
    words = [f"x=vllm/{base}", f"y=vllm/{base}:{adapter}", f"z=vllm/{base}-2:{adapter}"]
    groups = groups_of(words)
    assert groups == [["x", "y"], ["z"]]


def settings(**changes: Any) -> SeriesSettings:
    values: dict[str, Any] = {
        "models": parse_models(["hf/base", "hf/step-1"]),
        "tasks": ("rim_eval/toy",),
        "task_args": {"answer_tokens": 96},
    }
    return SeriesSettings(**values | changes)


def test_a_folder_takes_its_own_series_again(tmp_path: Path) -> None:
    open_series(tmp_path, settings())
    open_series(tmp_path, settings())
    written = SeriesSettings.model_validate_json((tmp_path / "series.json").read_text())
    assert written == settings()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"limit": 5}, "limit was null and is now 5"),
        ({"tasks": ("rim_eval/toy", "rim_eval/toy_math")}, "tasks was"),
        ({"task_args": {"answer_tokens": 64}}, '"answer_tokens": 96} and is now {"answer_tokens": 64'),
        ({"models": parse_models(["hf/base", "hf/step-2"])}, "step-2=hf/step-2"),
        ({"model_roles": {"grader": "openai/gpt-4o"}}, "model_roles was"),
    ],
)  # fmt: skip
def test_a_folder_of_another_series_is_refused_with_what_differs(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    open_series(tmp_path, settings())
    with pytest.raises(RimError) as error:
        open_series(tmp_path, settings(**changes))
    assert "holds another series" in str(error.value)
    assert says in str(error.value)


def test_a_folder_with_logs_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.eval").write_bytes(b"")
    with pytest.raises(RimError, match="holds logs and no series"):
        open_series(tmp_path, settings())


def test_a_settings_file_that_was_changed_by_hand_is_refused(tmp_path: Path) -> None:
    (tmp_path / "series.json").write_text('{"models": [], "tasks": ["x"]}')
    with pytest.raises(RimError, match="cannot be read"):
        open_series(tmp_path, settings())


def test_a_task_that_is_named_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="named twice in rim_eval/toy, rim_eval/toy"):
        settings(tasks=("rim_eval/toy", "rim_eval/toy"))


def test_no_secret_is_written(tmp_path: Path) -> None:
    secret = {"model_args": {"api_key": "hunter2"}, "model_roles": {"grader": {"model": "m", "model_args": {"api_key": "hunter3"}}}}  # fmt: skip
    open_series(tmp_path, settings(**secret))
    text = (tmp_path / "series.json").read_text()
    assert "hunter" not in text
    assert "***" in text
