"""Tasks and arguments of commands that run Inspect's tasks, or plan them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, Final

from rim_eval.errors import RimError

_OURS: Final = "rim_eval/"
"""What stands before the names of the tasks of this package."""


def task_name(task: str) -> str:
    """The name by which Inspect knows a task: `rim_eval/` goes before one that stands alone.

    Args:
        task: What the user wrote.
    """
    task = task.strip()
    return task if "/" in task or "@" in task or not task else f"{_OURS}{task}"


def is_shipped(task: str) -> bool:
    """Tell whether a task is to be one of this package, by its name.

    Args:
        task: The name by which Inspect knows it.
    """
    return task.startswith(_OURS) and "@" not in task


def read_arguments(flag: str, words: Sequence[str]) -> dict[str, Any]:
    """Read `name=value` options as Inspect reads them: values are YAML, and a comma makes a list.

    Args:
        flag: The option, for messages.
        words: What it was given.

    Raises:
        RimError: One has no `=`, or its value is no YAML.
    """
    from rim_eval.inspect_tasks.compat import parse_cli_args

    for word in words:
        if not word.partition("=")[1]:
            raise RimError(f"{flag} {word}: write it as NAME=VALUE.")
    try:
        return parse_cli_args(tuple(words))
    except Exception as error:  # whatever the YAML reader raises
        raise RimError(f"{flag} {' '.join(words)}: a value is no YAML ({error}).") from None


@cache
def shipped_tasks() -> Mapping[str, Callable[..., Any]]:
    """The tasks of this package by the name under which Inspect knows them."""
    from rim_eval import _registry

    registered = {
        name: getattr(each, "__registry_info__", None) for name, each in vars(_registry).items()
    }
    return {
        f"{_OURS}{name}": getattr(_registry, name)
        for name, about in registered.items()
        if about is not None and about.type == "task"
    }


def arguments_of(task: str) -> frozenset[str] | None:
    """Names of the arguments that a task of this package takes; None of any other task.

    Args:
        task: The name by which Inspect knows it.
    """
    if not is_shipped(task):
        return None
    parameters = signature(shipped_tasks()[task]).parameters.values()
    return frozenset(each.name for each in parameters if each.kind is not each.VAR_KEYWORD)


def unknown_task(task: str) -> str | None:
    """What is wrong with a task's name; None where nothing is.

    Args:
        task: The name by which Inspect knows it.
    """
    if not is_shipped(task) or task in shipped_tasks():
        return None
    names = ", ".join(each.removeprefix(_OURS) for each in sorted(shipped_tasks()))
    return f"{task.removeprefix(_OURS)}: there is no such task; there are {names}"


def refuse_unknown(flag: str, tasks: Sequence[str], arguments: Iterable[str]) -> None:
    """Refuse a task that does not exist, and an argument that no task takes: Inspect would pass it over.

    Args:
        flag: The option that named the tasks, for messages.
        tasks: Their names.
        arguments: Names of the arguments of `-T`.

    Raises:
        RimError: It names what there is.
    """
    if problems := list(filter(None, map(unknown_task, tasks))):
        raise RimError(f"{flag} {problems[0]}.")
    taken = set[str]()
    for task in tasks:
        own = arguments_of(task)
        if own is None:
            return
        taken |= own
    if untaken := {name for name in arguments if name.partition(".")[0] not in taken}:
        raise RimError(
            f"-T {min(untaken)}=...: none of these tasks takes it. They take {', '.join(sorted(taken))}."
        )
