"""Builds the reasoning tasks: one prompt set, both modes, one checker."""

from collections.abc import Callable

from inspect_ai import Task, task

from rim_eval.asking import Style, ask
from rim_eval.catalogue import load
from rim_eval.inspect_tasks._build import TaskArgs, both_modes_task, data_folder, user_errors
from rim_eval.inspect_tasks._scorers import solved

__all__ = ["reasoning_task"]

TaskFactory = Callable[..., Task]


def reasoning_task(
    name: str, default_style: Style = "worked", absolute_error: float | None = None
) -> TaskFactory:
    """The Inspect task of a set of problems with gold answers.

    Args:
        name: Prompt set, as its folder in `tasks/` is called; the task gets the same name.
        default_style: How problems are asked unless the user says otherwise.
        absolute_error: How far an answer may lie from the gold one, by the set's own rule.
    """

    @task(name=name, kind="reasoning")
    def reasoning(
        modes: str | list[str] = "both",
        prompt_style: Style = default_style,
        subset: str | None = None,
        data: str | None = None,
        answer_tokens: int | None = None,
        thinking_tokens: int | None = None,
        switch: str = "auto",
        chat_template: str | None = None,
    ) -> Task:
        with user_errors():
            loaded = load(name, data=data_folder(data), subset=subset)
            messages = {prompt.id: ask(prompt, prompt_style) for prompt in loaded.prompts}
            args = TaskArgs(modes, answer_tokens, thinking_tokens, switch, chat_template)
            return both_modes_task(loaded, messages, solved(absolute_error), args)

    reasoning.__doc__ = f"Accuracy with and without thinking on the `{name}` problems."
    return reasoning
