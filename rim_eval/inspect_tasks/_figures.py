"""The figures behind all metrics of a task: computed once, however many metrics ask, however often.

Inspect asks every metric again while a run goes on, each time with all scores so far. What was read of a
score is kept, so a refresh costs the new scores and one summary, not all scores times all metrics.
"""

from collections import OrderedDict
from collections.abc import Sequence
from operator import is_not
from typing import Any, Final

from inspect_ai.scorer import SampleScore

from rim_eval.observations import Observation, rows_of_score
from rim_eval.results.summary import Summary, summarise
from rim_eval.types import MODES, PromptKind

__all__ = ["figures_of"]

_TASKS: Final = 8
"""Tasks whose scores are kept: as many as one process runs side by side."""


class _Kept:
    """What was read of one task's scores, and the figures of the last look."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[dict[str, Any], Observation]] = {}
        self._shown: list[Observation] = []
        self._figures: dict[PromptKind, Summary] = {}

    def look(self, arms: Sequence[tuple[str, dict[str, Any]]]) -> dict[PromptKind, Summary]:
        self._rows = {id(facts): self._read(mode, facts) for mode, facts in arms}
        rows = [row for _, row in self._rows.values()]
        if len(rows) != len(self._shown) or any(map(is_not, rows, self._shown)):
            self._figures, self._shown = summarise(rows), rows
        return self._figures

    def _read(self, mode: str, facts: dict[str, Any]) -> tuple[dict[str, Any], Observation]:
        """The row of one arm; read again when a score was edited in place."""
        known = self._rows.get(id(facts))
        if known is not None and known[0] == facts:
            return known
        return dict(facts), next(rows_of_score({mode: facts}))


_kept: OrderedDict[int, _Kept] = OrderedDict()


def figures_of(scores: Sequence[SampleScore]) -> dict[PromptKind, Summary]:
    """The figures of a task's scores so far, for each kind of prompts in them.

    Args:
        scores: One task's scores, each with the observations that the scorers left in its metadata.
    """
    metadata = [score.score.metadata or {} for score in scores]
    arms = [(mode, about[mode]) for about in metadata for mode in MODES if mode in about]
    if not arms:
        return {}
    task = id(arms[0][1])
    kept = _kept.setdefault(task, _Kept())
    _kept.move_to_end(task)
    if len(_kept) > _TASKS:
        _kept.popitem(last=False)
    return kept.look(arms)
