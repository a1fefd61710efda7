"""Tasks and arguments of commands that run Inspect's tasks, or plan them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any, Final

from rim_eval.errors import RimError

_OURS: Final = "rim_eval/"
"""What stands before the names of the tasks of this package."""


def task_names(words: Iterable[str]) -> tuple[str, ...]:
    """Names of tasks as Inspect knows them: `hexphi` is one of this package's."""
    names = (word.strip() for word in words)
    return tuple(
        name if "/" in name or "@" in name or not name else f"{_OURS}{name}" for name in names
    )


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


def refuse_unknown(flag: str, tasks: Sequence[str], arguments: Mapping[str, Any]) -> None:
    """Refuse a task of rim_eval that does not exist, and an argument that no task takes: Inspect would pass it over.

    Args:
        flag: The option that named the tasks, for messages.
        tasks: Their names.
        arguments: Their arguments.

    Raises:
        RimError: It names what there is.
    """
    shipped = shipped_tasks()
    if unknown := [task for task in tasks if _is_ours(task) and task not in shipped]:
        names = ", ".join(task.removeprefix(_OURS) for task in sorted(shipped))
        raise RimError(
            f"{flag} {unknown[0].removeprefix(_OURS)}: there is no such task; there are {names}."
        )
    if not all(map(_is_ours, tasks)):
        return
    taken = {name for task in tasks for name in signature(shipped[task]).parameters}
    if untaken := {name for name in arguments if name.partition(".")[0] not in taken}:
        raise RimError(
            f"-T {min(untaken)}=...: none of these tasks takes it. They take {', '.join(sorted(taken))}."
        )


def _is_ours(task: str) -> bool:
    return task.startswith(_OURS) and "@" not in task


def shipped_tasks() -> Mapping[str, Callable[..., Any]]:
    """The tasks of rim_eval by the name under which Inspect knows them."""
    from rim_eval import _registry

    registered = {
        name: getattr(each, "__registry_info__", None) for name, each in vars(_registry).items()
    }
    return {
        f"{_OURS}{name}": getattr(_registry, name)
        for name, about in registered.items()
        if about is not None and about.type == "task"
    }
