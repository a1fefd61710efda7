"""Observations out of Inspect logs, where the scorers left them in each score's metadata."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rim_eval.observations._row import Observation
from rim_eval.outcomes import MODES

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = ["from_inspect_log", "rows_of_score"]


def from_inspect_log(log: "EvalLog") -> list[Observation]:
    """All observations of one Inspect log that is in memory.

    Args:
        log: A log with samples, as `inspect_ai.eval` returns it.
    """
    return [
        row
        for sample in log.samples or []
        for score in (sample.scores or {}).values()
        for row in rows_of_score(score.metadata)
    ]


def rows_of_score(metadata: Mapping[str, Any] | None) -> Iterator[Observation]:
    """The observations in one score's metadata: one a mode that ran."""
    about = metadata or {}
    for mode in MODES:
        if mode in about:
            yield Observation.model_validate(about[mode])
