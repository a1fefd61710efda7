"""Finished logs that a monitor may read, found and opened."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rim_eval.errors import RimError
from rim_eval.observations import label_of

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = ["NamedLog", "find_logs", "is_injection", "named_logs", "read_log"]


class NamedLog(NamedTuple):
    """A log file, and the model name that was given with it, as `NAME=PATH`."""

    label: str | None
    path: Path

    def __str__(self) -> str:
        return str(self.path) if self.label is None else f"{self.label}={self.path}"


def named_logs(sources: Iterable[str | Path]) -> list[NamedLog]:
    """The logs of paths and `NAME=PATH`, each once under each name.

    Raises:
        RimError: One of them leads to no log.
    """
    found: dict[NamedLog, None] = {}
    for source in sources:
        label, path = label_of(str(source))
        found |= {NamedLog(label, log): None for log in find_logs([Path(path)])}
    return list(found)


def find_logs(paths: Sequence[Path]) -> list[Path]:
    """Log files named, and those in folders named, in order, each once.

    Raises:
        RimError: There is none.
    """
    found = [log for path in paths for log in (_logs_in(path) if path.is_dir() else [path])]
    if not found or not all(path.is_file() for path in found):
        named = ", ".join(map(str, paths)) or "nothing"
        raise RimError(
            f"No log in {named}. Name Inspect logs (.eval), lm-eval sample files (samples_rim_*.jsonl), or folders."
        )
    return list({path.resolve(): path for path in found}.values())


def _logs_in(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("*.eval")), *sorted(folder.rglob("samples_rim_*.jsonl"))]


def read_log(path: Path) -> "EvalLog":
    """An Inspect log of a rim_eval task, with its samples.

    Raises:
        RimError: The file is no such log.
    """
    from inspect_ai.log import read_eval_log

    try:
        log = read_eval_log(str(path))
    except Exception as error:
        raise RimError(f"{path}: not an Inspect log ({error}).") from error
    if not any(_KEYS & sample.store.keys() for sample in log.samples or []):
        raise RimError(f"{path}: no replies of a rim_eval task in it (task {log.eval.task}).")
    return log


def is_injection(log: "EvalLog") -> bool:
    """Whether a log is of an injection run, whose replies are arms and not modes."""
    return any(_INJECTED in sample.store for sample in log.samples or [])


_INJECTED = "rim_eval:injected"
_KEYS = {"rim_eval:generations", _INJECTED}
