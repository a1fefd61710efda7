"""Reading patterns in finished Inspect logs, without the model that wrote them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_eval.errors import RimError
from rim_eval.patterns._rows import rows_of_metadata

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from rim_eval.patterns._reading import Part

__all__ = ["find_logs", "read_finished_log", "read_log"]


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


def read_finished_log(
    path: Path, monitor: str, parts: "Sequence[Part]", grader: "Model | None"
) -> "EvalLog":
    """Let a monitor read every reply of a log; its findings become one more score.

    Args:
        path: The log.
        monitor: The monitor's name, or the path of a rubric.
        parts: What it reads.
        grader: The model to ask.

    Returns:
        The log with the new scores and figures, in memory.

    Raises:
        RimError: The file is no such log, or the monitor does not exist.
    """
    from inspect_ai import score
    from inspect_ai.model import get_model

    from rim_eval.inspect_tasks._patterns import reasoning_patterns

    log = read_log(path)
    roles: dict[str, Any] = {"grader": grader} if grader is not None else {}
    # The header's roles would be built again, and with them the old grader's weights.
    before, log.eval.model_roles = log.eval.model_roles, None
    read = score(
        log,
        reasoning_patterns(monitor=monitor, parts=list(parts)),
        model=get_model("none/none"),
        model_roles=roles,
        action="append",
        display="none",
        copy=False,
    )
    read.eval.model_roles = before
    if "trace" in parts:
        _fill_observations(read)
    return read


def _fill_observations(log: "EvalLog") -> None:
    """Put what the newest monitor found in the traces into the observations that the log holds.

    They are what tables and cards are made from; which monitor it was stands in its own score.
    """
    for sample in log.samples or []:
        scores = list((sample.scores or {}).values())
        rows = {
            row.mode: row for row in rows_of_metadata(scores[-1].metadata) if row.part == "trace"
        }
        for score in scores:
            for mode, row in rows.items():
                observation = (score.metadata or {}).get(mode)
                if isinstance(observation, dict):
                    observation["patterns"] = list(row.patterns) if row.read else None
