"""Builds the reasoning tasks: one set of problems, both modes, one checker."""

from typing import Any

from inspect_ai import Task

from rim_eval.asking import ask
from rim_eval.inspect_tasks._build import (
    TaskArgs,
    both_modes_task,
    data_folder,
    text_argument,
)
from rim_eval.inspect_tasks._errors import user_errors
from rim_eval.inspect_tasks._scorers import solved
from rim_eval.prompt_sets import load_prompts

__all__ = ["solved_set"]


def solved_set(
    name: str,
    *,
    prompt_style: Any,
    absolute_error: float | None,
    subset: str | None,
    data: str | None,
    **args: Any,
) -> Task:
    """The task of a set of problems with gold answers.

    Args:
        name: The prompt set.
        prompt_style: How problems are asked (`rim_eval.asking.STYLES`).
        absolute_error: How far an answer may lie from the gold one, by the set's own rule.
        subset: A subset's name, or None for what the set loads by default.
        data: A local data folder, or None for the publisher.
        **args: The fields of `TaskArgs`.

    Raises:
        PrerequisiteError: Something that the user gave is wrong or missing.
    """
    with user_errors():
        ours = TaskArgs.read(**args)
        loaded = load_prompts(name, data=data_folder(data), subset=text_argument("subset", subset))
        messages = {prompt.id: ask(prompt, prompt_style) for prompt in loaded.prompts}
        rules = {"absolute_error": absolute_error}
        return both_modes_task(loaded, messages, solved(), ours, rules)
