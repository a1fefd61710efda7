"""Monitors as the user names them: their rows, their labels, and the grader that one asks."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rim_eval import patterns
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.model import Model

__all__ = ["grader_model", "rows_of_monitor", "shared_labels"]


def rows_of_monitor(rows: Sequence[patterns.PatternRow], named: str) -> list[patterns.PatternRow]:
    """Rows of one monitor; where several versions of it have read, those of the version named now.

    Args:
        rows: Rows of any monitors.
        named: `cues`, `rubric`, a rubric file, or one with its grader, `rubric@openai/gpt-4.1`.

    Raises:
        RimError: It has not read these rows, or it is not clear which of several is meant.
    """
    monitor, _, grader = named.partition("@")
    ours = patterns.load_monitor(monitor).identity(None)
    there = {row.monitor for row in rows}
    meant = {one for one in there if one.name == ours.name and grader in ("", one.grader)}
    if not meant:
        raise RimError(
            f"Monitor {named!r} has not read these logs; those that have: {_names(there)}."
        )
    chosen = meant if len(meant) == 1 else {one for one in meant if one.sha256 == ours.sha256}
    if len(chosen) != 1:
        raise RimError(_unclear(named, meant))
    return [row for row in rows if row.monitor in chosen]


def _unclear(named: str, meant: Iterable[patterns.MonitorId]) -> str:
    versions = sorted({f"{_name(one)}, file {one.sha256[:8]}" for one in meant})
    return (
        f"{named!r} can mean {'; '.join(versions)}: name one with its grader, or let the version that "
        "you have now read the logs (`rim-eval patterns run`)."
    )


def _names(monitors: Iterable[patterns.MonitorId]) -> str:
    return ", ".join(sorted({_name(one) for one in monitors}))


def _name(monitor: patterns.MonitorId) -> str:
    return f"{monitor.name}@{monitor.grader}" if monitor.grader else monitor.name


def shared_labels(first: str, second: str) -> set[str]:
    """Labels that both monitors can give, and the marks, which all give."""
    ours, theirs = (
        set(patterns.load_monitor(name.partition("@")[0]).labels) for name in (first, second)
    )
    return (ours & theirs) | set(patterns.MARKS)


def grader_model(monitor: str, name: str | None) -> "Model | None":
    """The grader that a monitor needs; None for one that asks nobody.

    Raises:
        RimError: It is missing, cannot be had, or is given to an offline monitor.
    """
    if not patterns.load_monitor(monitor).needs_grader:
        if name:
            raise RimError(
                f"Monitor {monitor!r} is offline and asks no model: leave out --grader {name}."
            )
        return None
    if name is None:
        raise RimError(
            f"Monitor {monitor!r} asks a grader model: pass --grader MODEL, or read with the offline "
            "baseline: --monitor cues."
        )
    from rim_eval.judging import load_grader

    return load_grader(name)
