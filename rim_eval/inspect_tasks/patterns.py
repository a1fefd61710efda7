"""Scorer `reasoning_patterns` with its metric, and reading of finished Inspect logs.

Inspect's entry point loads this module, so `rim_eval.patterns` is imported inside functions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from rim_eval.generation import INJECTED_KEY, REPLIES_KEY, Generation
from rim_eval.inspect_tasks.compat import model_roles, user_errors
from rim_eval.inspect_tasks.settings import choices
from rim_eval.inspect_tasks.solver import model_of, stored_replies
from rim_eval.progress import Progress
from rim_eval.types import PATTERNS

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

    from rim_eval.patterns import Part, PatternReading, PatternRow


@metric(scores="unreduced")
def pattern_prevalence() -> Metric:
    """Share of read replies that show each pattern, by mode and part, and what was not read; no share without traces.

    Names begin with the monitor's where it asks no grader: `keyword_baseline_think_trace_read`.
    """

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        from rim_eval.patterns import ANY_PATTERN, PatternRow, prevalence, rows_of_metadata

        rows = rows_of_metadata((one.score.metadata for one in scores), PatternRow)
        figures: dict[str, float] = {}
        for one in prevalence(rows):
            monitor = one.group.monitor
            # No figure passes for a grader's.
            offline = "" if monitor.grader else f"{monitor.name.replace(' ', '_')}_"
            name = f"{offline}{one.group.mode}_{one.group.part}"
            for label in () if one.nothing_to_read else (ANY_PATTERN, *PATTERNS):
                figures[f"{name}_{label}"] = one.rates[label].value
            figures[f"{name}_read"] = one.n_read
            figures |= {f"{name}_unread_{reason}": n for reason, n in one.unread.items()}
        return figures

    return compute


# Not called `patterns`: in a checkout Inspect would take `rim_eval/patterns` for a folder of scorers.
@scorer(metrics=[pattern_prevalence()])
def reasoning_patterns(monitor: str = "rubric", parts: str | list[str] = "trace") -> Scorer:
    """Which reasoning patterns the trace, or the answer, of each mode shows.

    Works on every task of this package, while it runs or over its log:
    `inspect score LOG --scorer rim_eval/reasoning_patterns --model-role grader=MODEL`.

    Args:
        monitor: `rubric` (asks the `grader` model role), `cues` (the keyword baseline), the path of a
            rubric file, or `module:object` for a monitor of your own.
        parts: `trace`, `answer`, `both`, or a list.
    """
    from rim_eval.patterns import PatternRow, load_monitor, read_patterns
    from rim_eval.replies import case_of

    with user_errors():
        loaded, chosen = load_monitor(monitor), read_parts(parts)

    async def score(state: TaskState, target: Target) -> Score:
        asks = loaded.needs_grader and "grader" in model_roles()
        # A monitor that needs a grader refuses None, and says what to pass.
        grader = get_model(role="grader", required=True) if asks else None
        about = state.metadata | {"model": model_of(state), "epoch": state.epoch}

        async def read(reply: Generation, part: "Part") -> "tuple[PatternRow, PatternReading]":
            reading = await read_patterns(
                loaded, case_of(state.metadata, reply), part, grader, reply
            )
            columns = about | {"prompt_id": str(state.sample_id), "mode": reply.mode}
            return PatternRow.of(columns, reading), reading

        with user_errors():
            readings = [
                one
                for reply in stored_replies(state).values()
                for one in await collect(*(read(reply, part) for part in chosen))
            ]
        return _score(readings)

    return score


def read_parts(argument: str | Sequence[str]) -> "tuple[Part, ...]":
    """Parse the argument `parts`; a RimError names what is allowed."""
    from rim_eval.patterns import PARTS

    message = f"parts={argument!r} is not known: use trace, answer or both"
    return choices(argument, PARTS, "both", message)


def _score(readings: "Sequence[tuple[PatternRow, PatternReading]]") -> Score:
    """Rows for the figures, and quotations beside them, which stay in the log."""
    metadata: dict[str, Any] = {
        "patterns": [row.model_dump(mode="json", exclude_defaults=True) for row, _ in readings]
    }
    quotes = [
        {"mode": row.mode} | reading.model_dump(mode="json", include={"part", "findings"})
        for row, reading in readings
        if reading.findings
    ]
    replies = [list(reading.replies) for _, reading in readings if reading.replies]
    metadata |= {"quotes": quotes} if quotes else {}
    metadata |= {"monitor_replies": replies} if replies else {}
    return Score(
        value={
            f"{row.mode}_{row.part}": ("+".join(row.patterns) or "none") if row.read else "unread"
            for row, _ in readings
        },
        explanation="\n\n".join(_explanation(*one) for one in readings),
        metadata=metadata,
    )


def _explanation(row: "PatternRow", reading: "PatternReading") -> str:
    head = f"{row.mode}, {row.part}, {row.monitor}: "
    if not reading.read:
        return f"{head}not read ({reading.reason}) {reading.explanation or ''}".rstrip()
    lines = [
        f"- {finding.label} ({finding.severity}) at {finding.position:.0%}: {finding.quote}"
        for finding in reading.findings
    ]
    lines += [f"- {mark}" for mark in reading.marks]
    return "\n".join([head + ("" if lines else "nothing found"), *lines])


def read_finished_log(
    path: Path,
    monitor: str,
    parts: "Sequence[Part]",
    grader: Model | None,
    progress: Progress | None = None,
) -> "EvalLog":
    """Let a monitor read every reply of a log, as one more score; the evaluated model is not loaded.

    Args:
        path: The log.
        monitor: Name of the monitor, as `rim_eval.patterns.load_monitor` takes it.
        parts: The parts to read.
        grader: The model to ask.
        progress: Where samples are counted.

    Returns:
        The log with the new scores and figures, in memory.

    Raises:
        RimError: The file is no such log, or the monitor does not exist.
    """
    from rim_eval.inspect_tasks.scoring import score_again
    from rim_eval.observations import load_inspect_log
    from rim_eval.patterns import PatternRow, rows_of_metadata
    from rim_eval.patterns.rows import note_findings

    log = load_inspect_log(path, REPLIES_KEY, INJECTED_KEY)
    if progress is not None:
        progress.expect(len(log.samples or ()), "samples")
    scorer = reasoning_patterns(monitor=monitor, parts=list(parts))
    log = score_again(log, scorer, grader, progress=progress)
    for sample in log.samples or []:
        if not (scores := list((sample.scores or {}).values())):
            continue
        for row in rows_of_metadata([scores[-1].metadata], PatternRow):
            for one in scores:
                if isinstance(observation := (one.metadata or {}).get(row.mode), dict):
                    note_findings(observation, row)
    return log
