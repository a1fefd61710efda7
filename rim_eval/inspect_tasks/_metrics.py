"""The figures that Inspect shows: the paired difference, then each arm.

Inspect asks every metric again while a run goes on, each time with all scores so far. What was read of a
score is cached, so a refresh costs the new scores and one count, not all scores times all metrics.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import nan
from operator import is_not
from typing import TYPE_CHECKING, Any, Final

from inspect_ai.scorer import Metric, SampleScore, metric

from rim_eval.types import KIND_NAMES, MODES, Mode, PromptKind

if TYPE_CHECKING:
    from rim_eval.observations import Observation
    from rim_eval.results.figures import SetResult

_TASKS: Final = 8
"""Tasks whose scores are cached: as many as one process runs side by side."""


@metric(scores="unreduced")
def difference() -> Metric:
    """Think - no_think in percentage points, paired by prompt, with its 95 % interval and p value."""
    return _metric("", _difference_figures)


@metric(scores="unreduced")
def think() -> Metric:
    """The think arm: its rate with a 95 % interval, what was not scored and why, whether it thought."""
    return _metric("think_", lambda result: _arm_figures(result, "think"))


@metric(scores="unreduced")
def no_think() -> Metric:
    """The no-think arm: the same figures."""
    return _metric("no_think_", lambda result: _arm_figures(result, "no_think"))


def results_of_scores(scores: Sequence[SampleScore]) -> dict[PromptKind, "SetResult"]:
    """Results of a task's scores so far, for each kind of prompts in them.

    Args:
        scores: One task's scores, each with the observations that the scorers left in its metadata.
    """
    metadata = [score.score.metadata or {} for score in scores]
    arms = [(mode, about[mode]) for about in metadata for mode in MODES if mode in about]
    if not arms:
        return {}
    cached = _cache.setdefault(id(arms[0][1]), _TaskResults())
    _cache.move_to_end(id(arms[0][1]))
    if len(_cache) > _TASKS:
        _cache.popitem(last=False)
    return cached.update(arms)


class _TaskResults:
    """What was read of one task's scores, and the results at the last look."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[dict[str, Any], Observation]] = {}
        self._rows: list[Observation] = []
        self._results: dict[PromptKind, SetResult] = {}

    def update(self, arms: Sequence[tuple[str, dict[str, Any]]]) -> dict[PromptKind, "SetResult"]:
        # Imported when figures are asked for: loading the entry point must stay cheap.
        from rim_eval.results.figures import set_results

        self._read = {id(facts): self._row(mode, facts) for mode, facts in arms}
        rows = [row for _, row in self._read.values()]
        if len(rows) != len(self._rows) or any(map(is_not, rows, self._rows)):
            self._results, self._rows = set_results(rows), rows
        return self._results

    def _row(self, mode: str, facts: dict[str, Any]) -> tuple[dict[str, Any], "Observation"]:
        """The row of one arm; read again when a score was edited in place."""
        from rim_eval.observations import rows_of_score

        cached = self._read.get(id(facts))
        if cached is not None and cached[0] == facts:
            return cached
        return dict(facts), next(rows_of_score({mode: facts}))


_cache: OrderedDict[int, _TaskResults] = OrderedDict()


def _metric(prefix: str, figures_of: "Callable[[SetResult], dict[str, float | None]]") -> Metric:
    """The figures of all kinds side by side; NaN, as Inspect takes it, where there is none.

    A figure that does not name its kind by itself (`pairs`, `scored`, ...) gets the kind's name
    before it where the prompts are of several kinds, as in XSTest; else nothing is added.
    """

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        results = results_of_scores(scores)
        several = len(results) > 1
        return {
            f"{prefix}{kind}_{name}"
            if several and not name.startswith((KIND_NAMES[kind].rate, KIND_NAMES[kind].difference))
            else f"{prefix}{name}": nan if figure is None else figure
            for kind, result in results.items()
            for name, figure in figures_of(result).items()
        }

    return compute


def _difference_figures(result: "SetResult") -> dict[str, float | None]:
    name, change = KIND_NAMES[result.kind].difference, result.figures.difference
    if change is None:
        return {}
    return {
        name: change.value,
        f"{name}_lower": change.lower,
        f"{name}_upper": change.upper,
        f"{name}_p": change.p_value,
        f"{name}_bound_lower": change.bound_lower,
        f"{name}_bound_upper": change.bound_upper,
        "pairs": change.n_pairs,
        "unpaired": change.n_unpaired,
        "mode_verified": float(result.mode_check.verified),
    }


def _arm_figures(result: "SetResult", mode: Mode) -> dict[str, float | None]:
    name = KIND_NAMES[result.kind].rate
    rate, arm = result.figures.rate(mode), result.counts.arms.get(mode)
    if rate is None or arm is None:
        return {}
    return {
        name: rate.value,
        f"{name}_lower": rate.lower,
        f"{name}_upper": rate.upper,
        "scored": rate.n_scored,
        "unscored": rate.n_unscored,
        **{f"unscored_{reason}": n for reason, n in arm.unscored.items()},
        "adoption": arm.adoption,
        "truncated": arm.truncated,
        "over_budget": arm.over_budget,
        "looping": arm.looping,
    }
