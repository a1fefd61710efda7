"""What the scorer `reasoning_patterns` does: a monitor over both arms of every sample."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from inspect_ai.model import Model, get_model
from inspect_ai.scorer import SampleScore, Score, Scorer, Target
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.inspect_tasks._compat import model_roles
from rim_eval.inspect_tasks._errors import user_errors
from rim_eval.inspect_tasks._scoring import case_of
from rim_eval.inspect_tasks._solver import generations
from rim_eval.patterns import (
    ANY_PATTERN,
    PARTS,
    PATTERNS,
    Monitor,
    Part,
    PatternReading,
    PatternRow,
    load_monitor,
    prevalence,
    read_patterns,
    rows_of_metadata,
)
from rim_eval.types import Mode

__all__ = ["patterns_scorer", "prevalence_figures", "read_parts"]


def prevalence_figures(scores: Sequence[SampleScore]) -> dict[str, float]:
    """Compute the figures of the metric `pattern_prevalence`."""
    rows = [row for score in scores for row in rows_of_metadata(score.score.metadata)]
    figures: dict[str, float] = {}
    for one in prevalence(rows):
        name = f"{one.group.mode}_{one.group.part}"
        for label in (ANY_PATTERN, *PATTERNS):
            figures[f"{name}_{label}"] = one.rates[label].value
        figures[f"{name}_read"] = one.n_read
        figures |= {f"{name}_unread_{reason}": n for reason, n in one.unread.items()}
    return figures


class _ModeReading(NamedTuple):
    mode: Mode
    reading: PatternReading


def patterns_scorer(monitor: str, parts: str | Sequence[str]) -> Scorer:
    """Make the scorer that `reasoning_patterns` registers.

    Args:
        monitor: Name of the monitor.
        parts: As `read_parts` takes them.
    """
    with user_errors():
        loaded, chosen = load_monitor(monitor), read_parts(parts)

    async def score(state: TaskState, target: Target) -> Score:
        grader = _grader(loaded)

        async def read(reply: Generation, part: Part) -> _ModeReading:
            case = case_of(state, reply)
            return _ModeReading(reply.mode, await read_patterns(loaded, case, part, grader, reply))

        with user_errors():
            readings = [
                one
                for reply in generations(state).values()
                for one in await collect(*(read(reply, part) for part in chosen))
            ]
        return _score(state, readings)

    return score


def read_parts(argument: str | Sequence[str]) -> tuple[Part, ...]:
    """Parse the argument `parts`: `trace`, `answer`, `both`, or a list.

    Raises:
        RimError: It is something else.
    """
    if argument == "both":
        return PARTS
    names = [argument] if isinstance(argument, str) else list(argument)
    if names and all(name in PARTS for name in names):
        return tuple(part for part in PARTS if part in names)
    raise RimError(f"parts={argument!r} is not known: use trace, answer or both.")


def _grader(monitor: Monitor) -> Model | None:
    """The run's grader; a monitor that needs one refuses None, and says what to pass."""
    if not monitor.needs_grader or "grader" not in model_roles():
        return None
    return get_model(role="grader", required=True)


def _score(state: TaskState, readings: Sequence[_ModeReading]) -> Score:
    """Rows for the figures, and quotations beside them, which stay in the log."""
    rows = [PatternRow.of(_reply(state, mode), reading) for mode, reading in readings]
    quotes = [
        {
            "mode": mode,
            "part": reading.part,
            "findings": [finding.model_dump(mode="json") for finding in reading.findings],
        }
        for mode, reading in readings
        if reading.findings
    ]
    replies = [list(reading.replies) for _, reading in readings if reading.replies]
    metadata: dict[str, Any] = {
        "patterns": [row.model_dump(mode="json", exclude_defaults=True) for row in rows]
    }
    metadata |= {"quotes": quotes} if quotes else {}
    metadata |= {"monitor_replies": replies} if replies else {}
    return Score(
        value={f"{row.mode}_{row.part}": _value(row) for row in rows},
        explanation="\n\n".join(_explanation(one) for one in readings),
        metadata=metadata,
    )


def _reply(state: TaskState, mode: Mode) -> dict[str, Any]:
    return {
        "model": str(state.model),
        "dataset": state.metadata["dataset"],
        "prompt_id": str(state.sample_id),
        "kind": state.metadata["kind"],
        "category": state.metadata.get("category"),
        "mode": mode,
        "epoch": state.epoch,
    }


def _value(row: PatternRow) -> str:
    if not row.read:
        return "unread"
    return "+".join(row.patterns) or "none"


def _explanation(one: _ModeReading) -> str:
    mode, reading = one
    head = f"{mode}, {reading.part}: "
    if not reading.read:
        return f"{head}not read ({reading.reason}) {reading.explanation or ''}".rstrip()
    lines = [
        f"- {finding.label} ({finding.severity}) at {finding.position:.0%}: {finding.quote}"
        for finding in reading.findings
    ]
    marks = [f"- {mark}" for mark in reading.marks]
    return "\n".join([head + ("" if lines or marks else "nothing found"), *lines, *marks])
