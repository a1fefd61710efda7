"""Reading patterns in a finished Inspect log, without the model that wrote it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspect_ai import score
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, get_model

from rim_eval.inspect_tasks._patterns import reasoning_patterns
from rim_eval.patterns import Part, read_log, rows_of_metadata

__all__ = ["read_finished_log"]


def read_finished_log(
    path: Path, monitor: str, parts: Sequence[Part], grader: Model | None
) -> EvalLog:
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


def _fill_observations(log: EvalLog) -> None:
    """Put what the newest monitor found in the traces into the observations that the log holds.

    They are what tables and cards are made from; which monitor it was stands in its own score.
    """
    for sample in log.samples or []:
        scores = list((sample.scores or {}).values())
        rows = {
            row.mode: row for row in rows_of_metadata(scores[-1].metadata) if row.part == "trace"
        }
        for one in scores:
            for mode, row in rows.items():
                observation = (one.metadata or {}).get(mode)
                if isinstance(observation, dict):
                    observation["patterns"] = list(row.patterns) if row.read else None
