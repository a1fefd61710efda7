"""What users see of the tasks before they run one: their list, arguments, docstrings and versions."""

import inspect
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import list_tasks

import rim_eval
from rim_eval import _registry
from rim_eval.inspect_tasks.both import BothSettings
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.inspect_tasks.settings import (
    InjectionSettings,
    JudgedSettings,
    PromptFileSettings,
    ReasoningSettings,
    RunSettings,
)
from rim_eval.prompt_sets import entries

NAMES = {*entries(), "prompts", "injection", "both"}
SETTINGS: dict[str, type[RunSettings]] = {
    "prompts": PromptFileSettings,
    "injection": InjectionSettings,
    "both": BothSettings,
}


def settings_of(name: str) -> type[RunSettings]:
    if name in SETTINGS:
        return SETTINGS[name]
    return ReasoningSettings if entries()[name].kind == "reasoning" else JudgedSettings


def test_inspect_lists_every_task_of_the_source_tree() -> None:
    listed = list_tasks("rim_eval", root_dir=Path(rim_eval.__file__).parents[1])
    assert sorted(task.name for task in listed) == sorted(NAMES)
    assert {task.attribs["kind"] for task in listed} == {"safety", "reasoning", "any"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_task_documents_its_arguments_and_each_is_a_setting(name: str) -> None:
    task: Any = getattr(_registry, name)
    parameters = set(inspect.signature(task).parameters) - {"dotted"}
    about, arguments = inspect.getdoc(task).split("Args:")  # type: ignore[union-attr]
    assert about.strip()
    documented = [line.strip().split(":")[0] for line in arguments.strip().splitlines()]
    assert set(documented) == parameters
    fields = set(settings_of(name).model_fields)
    # What the user gave is noted beside the arguments; an injection run has one mode only, which is no argument.
    assert parameters == fields - {"given"} - ({"modes"} if name == "injection" else set())


def test_versions_are_of_the_form_that_registries_ask_for(run: Any) -> None:
    log = run(limit=1)
    assert log.eval.task_version == 1
    assert log.eval.metadata["full_task_version"] == "1-A"
    assert log.eval.metadata["task_interface_version"] == "A"


def test_arguments_and_defaults_are_logged_and_a_misspelt_one_is_refused(run: Any) -> None:
    log = run(limit=1, task_args={"answer_tokens": 5})
    assert log.eval.task_args["answer_tokens"] == 5
    assert log.eval.task_args["modes"] == "both"
    assert "modes" not in log.eval.task_args_passed
    with pytest.raises(PrerequisiteError, match=r"no argument 'modez'; there are .*modes"):
        _registry.toy(modez="think")


def test_an_argument_of_another_task_of_the_command_is_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`inspect eval rim_eval/hexphi rim_eval/gsm8k -T judge=hexphi` is one command."""
    _registry.toy_math(judge="refusal", answer_tokens=9, thinking_tokens=9)
    assert "toy_math does not take judge, which another one does" in caplog.text
