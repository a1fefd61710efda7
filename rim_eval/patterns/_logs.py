"""Finished logs that a monitor may read, found and opened."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = ["find_logs", "read_log"]


def find_logs(paths: Sequence[Path]) -> list[Path]:
    """Log files named, and those in folders named, in order.

    Raises:
        RimError: There is none.
    """
    found = [log for path in paths for log in (_logs_in(path) if path.is_dir() else [path])]
    if not found or not all(path.is_file() for path in found):
        named = ", ".join(map(str, paths)) or "nothing"
        raise RimError(
            f"No log in {named}. Name Inspect logs (.eval), lm-eval sample files (samples_rim_*.jsonl), or folders."
        )
    return found


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


_KEYS = {"rim_eval:generations", "rim_eval:injected"}
