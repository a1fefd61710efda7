"""Scorer `reasoning_patterns` with its metric, and reading of finished Inspect logs.

Inspect's entry point loads this module, so `rim_eval.patterns` is imported inside functions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspect_ai.scorer import Metric, SampleScore, Scorer, metric, scorer

from rim_eval.generation import INJECTED_KEY, REPLIES_KEY

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from rim_eval.patterns import Part

__all__ = ["pattern_prevalence", "read_finished_log", "reasoning_patterns"]


@metric(scores="unreduced")
def pattern_prevalence() -> Metric:
    """Share of read replies that show each pattern, by mode and part, and what was not read."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        from rim_eval.inspect_tasks.pattern_scorer import prevalence_figures

        return prevalence_figures(scores)

    return compute


# Not called `patterns`: in a checkout Inspect would take `rim_eval/patterns` for a folder of scorers.
@scorer(metrics=[pattern_prevalence()])
def reasoning_patterns(monitor: str = "rubric", parts: str | list[str] = "trace") -> Scorer:
    """Which reasoning patterns the trace, or the answer, of each mode shows.

    Works on every task of this package, while it runs or over its log:
    `inspect score LOG --scorer rim_eval/reasoning_patterns -S monitor=cues`.

    Args:
        monitor: `rubric` (asks the `grader` model role), `cues` (offline baseline), the path of a
            rubric file, or `module:object` for a monitor of your own.
        parts: `trace`, `answer`, `both`, or a list.
    """
    from rim_eval.inspect_tasks.pattern_scorer import patterns_scorer

    return patterns_scorer(monitor, parts)


def read_finished_log(
    path: Path, monitor: str, parts: "Sequence[Part]", grader: "Model | None"
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
    from inspect_ai.model import get_model

    from rim_eval.observations import load_inspect_log

    log = load_inspect_log(path, REPLIES_KEY, INJECTED_KEY)
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
    from rim_eval.patterns import rows_of_metadata

    for sample in log.samples or []:
        scores = list((sample.scores or {}).values())
        traces = (row for row in rows_of_metadata(scores[-1].metadata) if row.part == "trace")
        for row in traces:
            for one in scores:
                observation = (one.metadata or {}).get(row.mode)
                if isinstance(observation, dict):
                    observation["patterns"] = list(row.patterns) if row.read else None
