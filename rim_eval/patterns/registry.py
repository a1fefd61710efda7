"""Monitors by name: load one, and choose its rows among those of several monitors."""

import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rim_eval.errors import RimError
from rim_eval.patterns.cues import load_cues
from rim_eval.patterns.monitor import Monitor, MonitorId
from rim_eval.patterns.rows import PatternRow
from rim_eval.patterns.rubric import load_rubric

_MONITORS: Final[dict[str, Callable[[], Monitor]]] = {"rubric": load_rubric, "cues": load_cues}


def load_monitor(name: str) -> Monitor:
    """Load a monitor.

    Args:
        name: `rubric` (asks a grader model), `cues` (the keyword baseline), the path of a rubric file
            (`.yaml`, `.yml`), or `module:object` for an object of your own that implements `Monitor`.

    Raises:
        RimError: There is no such monitor, or its file is invalid.
    """
    if name.endswith((".yaml", ".yml")):
        return load_rubric(Path(name).expanduser())
    if name in _MONITORS:
        return _MONITORS[name]()
    if ":" not in name:
        raise RimError(
            f"There is no monitor {name!r}. Monitors: {', '.join(_MONITORS)}, the path of a rubric file "
            "(.yaml), or module:object for one of your own."
        )
    try:
        monitor = pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RimError(
            f"Monitor {name!r} cannot be imported ({error}). Name it as module:object."
        ) from None
    if isinstance(monitor, type) or not isinstance(monitor, Monitor):
        raise RimError(
            f"{name} is no monitor: it must be an object with what rim_eval.patterns.Monitor asks "
            "for (needs_grader, labels, grouping, identity, find)."
        )
    return monitor


def identity_name(name: str) -> str:
    """Name under which a shipped monitor's findings stand (`keyword baseline` for `cues`), `:GRADER` kept."""
    monitor, colon, grader = name.partition(":")
    if monitor in _MONITORS:
        monitor = _MONITORS[monitor]().identity(None).name
    return monitor + colon + grader


def rows_of_monitor(rows: Sequence[PatternRow], name: str) -> list[PatternRow]:
    """Select the rows of one monitor; of several versions that have read, the current one's.

    Args:
        rows: Rows of any monitors.
        name: As `load_monitor` takes it; with `@GRADER` after it, only what that grader read.

    Raises:
        RimError: The monitor has not read these rows, or the name fits several.
    """
    monitor, _, grader = name.partition("@")
    current = load_monitor(monitor).identity(None)
    present = {row.monitor for row in rows}
    named = {one for one in present if one.name == current.name and grader in ("", one.grader)}
    if not named:
        others = ", ".join(sorted(map(_label, present)))
        raise RimError(f"Monitor {name!r} has not read these logs; those that have: {others}.")
    chosen = named if len(named) == 1 else {one for one in named if one.sha256 == current.sha256}
    if len(chosen) != 1:
        versions = sorted(f"{_label(one)}, file {one.sha256[:8]}" for one in named)
        raise RimError(
            f"{name!r} can mean {'; '.join(versions)}: name one with its grader, or let the version "
            "that you have now read the logs (`rim-eval patterns run`)."
        )
    return [row for row in rows if row.monitor in chosen]


def _label(monitor: MonitorId) -> str:
    """A monitor as it can be named here: a shipped one by the name that loads it."""
    names = {identity_name(short): short for short in _MONITORS}
    name = names.get(monitor.name, monitor.name)
    return f"{name}@{monitor.grader}" if monitor.grader else name
