"""Inspect scorer `reasoning_patterns`: a monitor over both arms of every sample, in a run or over a finished log."""

from collections.abc import Sequence
from typing import Any, get_args

from inspect_ai.model import Model, get_model
from inspect_ai.scorer import SampleScore, Score, Scorer, Target
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.inspect_tasks.compat import model_roles, user_errors
from rim_eval.inspect_tasks.scoring import case_of
from rim_eval.inspect_tasks.solver import generations
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

__all__ = ["patterns_scorer", "prevalence_figures", "read_parts"]


def prevalence_figures(scores: Sequence[SampleScore]) -> dict[str, float]:
    """The figures that the metric `pattern_prevalence` shows."""
    rows = [row for score in scores for row in rows_of_metadata(score.score.metadata)]
    figures: dict[str, float] = {}
    for found in prevalence(rows):
        name = f"{found.group.mode}_{found.group.part}"
        for label in (ANY_PATTERN, *PATTERNS):
            figures[f"{name}_{label}"] = found.rates[label].value
        figures[f"{name}_read"] = found.n - sum(found.unread.values())
        figures |= {f"{name}_unread_{why}": n for why, n in found.unread.items()}
    return figures


def patterns_scorer(monitor: str, parts: str | Sequence[str]) -> Scorer:
    """The scorer that `reasoning_patterns` registers."""
    with user_errors():
        ours, asked = load_monitor(monitor), read_parts(parts)

    async def score(state: TaskState, target: Target) -> Score:
        grader = _grader(ours)
        found: list[tuple[Generation, PatternReading]] = []
        with user_errors():
            for reply in generations(state).values():
                case = case_of(state, reply)
                readings = await collect(
                    *(read_patterns(ours, case, part, grader, reply) for part in asked)
                )
                found += [(reply, reading) for reading in readings]
        return _score(state, found)

    return score


def read_parts(given: str | Sequence[str]) -> tuple[Part, ...]:
    """Parts from an argument: `trace`, `answer`, `both`, or a list.

    Raises:
        RimError: Something else was given.
    """
    if given == "both":
        return PARTS
    asked = [given] if isinstance(given, str) else list(given)
    if asked and all(part in get_args(Part) for part in asked):
        return tuple(part for part in PARTS if part in asked)
    raise RimError(f"parts={given!r} is not known: use trace, answer or both.")


def _grader(monitor: Monitor) -> Model | None:
    """The run's grader; None is refused by a monitor that needs one, with what to pass."""
    if not monitor.needs_grader or "grader" not in model_roles():
        return None
    return get_model(role="grader", required=True)


def _score(state: TaskState, found: list[tuple[Generation, PatternReading]]) -> Score:
    """Rows for the figures; the quotations beside them stay in the log and go nowhere else."""
    rows = [PatternRow.of(_about(state, reply), reading) for reply, reading in found]
    metadata: dict[str, Any] = {
        "patterns": [row.model_dump(mode="json", exclude_defaults=True) for row in rows]
    }
    quotes = [_quotes(reply, reading) for reply, reading in found if reading.findings]
    said = [list(reading.replies) for _, reading in found if reading.replies]
    metadata |= {"quotes": quotes} if quotes else {}
    metadata |= {"monitor_replies": said} if said else {}
    return Score(
        value={f"{row.mode}_{row.part}": _word(row) for row in rows},
        explanation="\n\n".join(_explanation(reply, reading) for reply, reading in found),
        metadata=metadata,
    )


def _about(state: TaskState, reply: Generation) -> dict[str, Any]:
    return {
        "model": str(state.model),
        "dataset": state.metadata["dataset"],
        "prompt_id": str(state.sample_id),
        "kind": state.metadata["kind"],
        "category": state.metadata.get("category"),
        "mode": reply.mode,
        "epoch": state.epoch,
    }


def _quotes(reply: Generation, reading: PatternReading) -> dict[str, Any]:
    findings = [one.model_dump(mode="json") for one in reading.findings]
    return {"mode": reply.mode, "part": reading.part, "findings": findings}


def _word(row: PatternRow) -> str:
    if not row.read:
        return "unread"
    return "+".join(row.patterns) or "none"


def _explanation(reply: Generation, reading: PatternReading) -> str:
    head = f"{reply.mode}, {reading.part}: "
    if not reading.read:
        return f"{head}not read ({reading.reason}) {reading.explanation or ''}".rstrip()
    lines = [
        f"- {one.label} ({one.severity}) at {one.position:.0%}: {one.quote}"
        for one in reading.findings
    ]
    marks = [f"- {mark}" for mark in reading.marks]
    return "\n".join([head + ("" if lines or marks else "nothing found"), *lines, *marks])
