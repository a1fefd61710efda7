"""What the scorer `reasoning_patterns` does: a monitor over both arms of a sample, also in finished logs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspect_ai.model import Model, get_model
from inspect_ai.scorer import SampleScore, Score, Scorer, Target
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import model_roles, user_errors
from rim_eval.inspect_tasks.scorers import reasoning_patterns
from rim_eval.inspect_tasks.scoring import sample_columns
from rim_eval.inspect_tasks.solver import generations
from rim_eval.patterns import (
    ANY_PATTERN,
    PARTS,
    PATTERNS,
    Part,
    PatternReading,
    PatternRow,
    load_monitor,
    prevalence,
    read_log,
    read_patterns,
    rows_of_metadata,
)
from rim_eval.replies import case_of
from rim_eval.types import Mode

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog


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


def patterns_scorer(monitor: str, parts: str | Sequence[str]) -> Scorer:
    """Make the scorer that `reasoning_patterns` registers.

    Args:
        monitor: Name of the monitor.
        parts: As `read_parts` takes them.
    """
    with user_errors():
        loaded, chosen = load_monitor(monitor), read_parts(parts)

    async def score(state: TaskState, target: Target) -> Score:
        # A monitor that needs a grader refuses None, and says what to pass.
        grader = None
        if loaded.needs_grader and "grader" in model_roles():
            grader = get_model(role="grader", required=True)
        readings: list[tuple[Mode, PatternReading]] = []
        with user_errors():
            for mode, reply in generations(state).items():
                case = case_of(state.metadata, reply)
                calls = (read_patterns(loaded, case, part, grader, reply) for part in chosen)
                readings += [(mode, reading) for reading in await collect(*calls)]
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


def _score(state: TaskState, readings: Sequence[tuple[Mode, PatternReading]]) -> Score:
    """Rows for the figures, and quotations beside them, which stay in the log."""
    columns = sample_columns(state)
    columns |= {name: state.metadata.get(name) for name in ("dataset", "kind", "category")}
    rows = [PatternRow.of(columns | {"mode": mode}, reading) for mode, reading in readings]
    metadata: dict[str, Any] = {
        "patterns": [row.model_dump(mode="json", exclude_defaults=True) for row in rows],
        "quotes": [
            {
                "mode": mode,
                "part": reading.part,
                "findings": [finding.model_dump(mode="json") for finding in reading.findings],
            }
            for mode, reading in readings
            if reading.findings
        ],
        "monitor_replies": [list(reading.replies) for _, reading in readings if reading.replies],
    }
    return Score(
        value={
            f"{row.mode}_{row.part}": "+".join(row.patterns) or "none" if row.read else "unread"
            for row in rows
        },
        explanation="\n\n".join(_explanation(*one) for one in readings),
        metadata={
            name: entries for name, entries in metadata.items() if entries or name == "patterns"
        },
    )


def _explanation(mode: Mode, reading: PatternReading) -> str:
    head = f"{mode}, {reading.part}: "
    if not reading.read:
        return f"{head}not read ({reading.reason}) {reading.explanation or ''}".rstrip()
    lines = [
        f"- {finding.label} ({finding.severity}) at {finding.position:.0%}: {finding.quote}"
        for finding in reading.findings
    ]
    lines += [f"- {mark}" for mark in reading.marks]
    return "\n".join([head + ("" if lines else "nothing found"), *lines])


def read_finished_log(
    path: Path, monitor: str, parts: Sequence[Part], grader: Model | None
) -> "EvalLog":
    """Let a monitor read every reply of a log, as one more score; the evaluated model is not loaded.

    Args:
        path: The log.
        monitor: Name of the monitor, as `rim_eval.patterns.load_monitor` takes it.
        parts: The parts to read.
        grader: The model to ask.

    Returns:
        The log with the new scores and figures, in memory.

    Raises:
        RimError: The file is no such log, or the monitor does not exist.
    """
    from inspect_ai import score

    log = read_log(path)
    roles: dict[str, Any] = {"grader": grader} if grader is not None else {}
    # Inspect would load the header's roles again, and with them the old grader's weights.
    header_roles, log.eval.model_roles = log.eval.model_roles, None
    scored = score(
        log,
        reasoning_patterns(monitor=monitor, parts=list(parts)),
        model=get_model("none/none"),
        model_roles=roles,
        action="append",
        display="none",
        copy=False,
    )
    scored.eval.model_roles = header_roles
    if "trace" in parts:
        _fill_observations(scored)
    return scored


def _fill_observations(log: "EvalLog") -> None:
    """Write the trace findings of the newest score into the `patterns` column of the observations."""
    for sample in log.samples or []:
        scores = list((sample.scores or {}).values())
        for row in rows_of_metadata(scores[-1].metadata):
            for one in scores if row.part == "trace" else ():
                observation = (one.metadata or {}).get(row.mode)
                if isinstance(observation, dict):
                    observation["patterns"] = list(row.patterns) if row.read else None
