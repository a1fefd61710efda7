"""Builds the safety tasks: one prompt set, both modes, one judge."""

from collections.abc import Callable

from inspect_ai import Task, task

from rim_eval.asking import ask
from rim_eval.catalogue import LoadedSet, load
from rim_eval.inspect_tasks._build import TaskArgs, both_modes_task, data_folder, user_errors
from rim_eval.inspect_tasks._scorers import grader_for, rim
from rim_eval.judging import load_judge

__all__ = ["judged_task", "safety_task"]

TaskFactory = Callable[..., Task]


def safety_task(name: str, default_subset: str | None = None) -> TaskFactory:
    """The Inspect task of a harmful or benign prompt set.

    Args:
        name: Prompt set, as its folder in `tasks/` is called; the task gets the same name.
        default_subset: Subset that is run unless the user asks for another.
    """

    @task(name=name, kind="safety")
    def safety(
        modes: str | list[str] = "both",
        judge: str | None = None,
        subset: str | None = default_subset,
        data: str | None = None,
        answer_tokens: int | None = None,
        thinking_tokens: int | None = None,
        switch: str = "auto",
        chat_template: str | None = None,
    ) -> Task:
        with user_errors():
            loaded = load(name, data=data_folder(data), subset=subset)
            args = TaskArgs(modes, answer_tokens, thinking_tokens, switch, chat_template)
            return judged_task(loaded, judge, args)

    safety.__doc__ = f"Misalignment with and without thinking on the `{name}` prompt set."
    return safety


def judged_task(loaded: LoadedSet, judge: str | None, args: TaskArgs) -> Task:
    """The task over loaded prompts, with the judge named or else the set's own.

    Args:
        loaded: The prompts.
        judge: A judge's name or file, `none` to judge later, or None for the set's own.
        args: The task's other arguments.

    Raises:
        RimError: There is no such judge, or it gives no verdict on such prompts.
        PrerequisiteError: The judge needs a grader, and the run names none.
    """
    name = judge or loaded.entry.judge or "hexphi"
    if name != "none":
        _check_judge(name, loaded)
    messages = {prompt.id: ask(prompt) for prompt in loaded.prompts}
    return both_modes_task(loaded, messages, rim(name), args)


def _check_judge(name: str, loaded: LoadedSet) -> None:
    """Refuse before the first token a judge that has no verdict on these prompts, or no grader."""
    judge = load_judge(name)
    for kind in {prompt.kind for prompt in loaded.prompts}:
        judge.event(kind)
    grader_for(judge)
