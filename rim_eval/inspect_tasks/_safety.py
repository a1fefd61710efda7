"""Builds the safety tasks: one prompt set or file, both modes, one judge."""

from pathlib import Path
from typing import Any

from inspect_ai import Task

from rim_eval.asking import ask
from rim_eval.errors import RimError
from rim_eval.inspect_tasks._build import (
    TaskArgs,
    both_modes_task,
    data_folder,
    text_argument,
)
from rim_eval.inspect_tasks._errors import user_errors
from rim_eval.inspect_tasks._scorers import rim
from rim_eval.inspect_tasks._scoring import grader_for
from rim_eval.judging import load_judge
from rim_eval.prompt_sets import LoadedSet, load_prompt_file, load_prompts

__all__ = ["judged_file", "judged_set", "judged_task"]


def judged_set(
    name: str, *, judge: str | None, subset: str | None, data: str | None, **args: Any
) -> Task:
    """The task of a prompt set of the catalogue.

    Args:
        name: The prompt set.
        judge: A judge's name or file, `none` to judge later, or None for the set's own.
        subset: A subset's name, or None for what the set loads by default.
        data: A local data folder, or None for the publisher.
        **args: The fields of `TaskArgs`.

    Raises:
        PrerequisiteError: Something that the user gave is wrong or missing.
    """
    with user_errors():
        ours = TaskArgs.read(**args)
        loaded = load_prompts(name, data=data_folder(data), subset=text_argument("subset", subset))
        return judged_task(loaded, judge, ours)


def judged_file(
    file: str | None, *, judge: str | None, columns: dict[str, Any], **args: Any
) -> Task:
    """The task of a user's own prompt file.

    Args:
        file: CSV or JSONL file.
        judge: As for `judged_set`; the kind's own by default.
        columns: Arguments of `catalogue.load_file`.
        **args: The fields of `TaskArgs`.

    Raises:
        PrerequisiteError: Something that the user gave is wrong or missing.
    """
    with user_errors():
        named = text_argument("file", file)
        if named is None:
            raise RimError("No prompt file was given: add `-T file=requests.csv` (CSV or JSONL).")
        if columns["kind"] not in ("harmful", "benign"):
            raise RimError(f"kind={columns['kind']!r} is not judged: use harmful or benign.")
        columns = {name: text_argument(name, given) for name, given in columns.items()}
        loaded = load_prompt_file(Path(named).expanduser(), **columns)
        return judged_task(loaded, judge, TaskArgs.read(**args))


def judged_task(loaded: LoadedSet, judge: str | None, args: TaskArgs) -> Task:
    """The task over loaded prompts, with the judge named or else the set's own.

    Raises:
        RimError: There is no such judge, or it gives no verdict on such prompts.
        PrerequisiteError: The judge needs a grader, and the run names none.
    """
    name = text_argument("judge", judge) or loaded.entry.judge or "hexphi"
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
