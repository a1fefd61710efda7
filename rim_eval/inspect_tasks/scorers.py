"""The scorers `rim` (a judge) and `solved` (the gold answer), and the figures that Inspect shows of them.

Inspect's entry point loads this module, so whatever scores or counts is imported inside functions.

Inspect asks every metric again while a run goes on, each time with all scores so far. What was read of a
score is cached, so a refresh costs the new scores and one count, not all scores times all metrics.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from math import nan
from operator import is_not
from typing import TYPE_CHECKING, Any, Final

from inspect_ai.scorer import Metric, SampleScore, Scorer, metric, scorer

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


class _TaskResults:
    """The rows of one task's scores, by the identity of their metadata, and the results at the last look."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[dict[str, Any], Observation]] = {}
        self._results: dict[PromptKind, SetResult] = {}

    def update(self, arms: Sequence[tuple[str, dict[str, Any]]]) -> dict[PromptKind, "SetResult"]:
        from rim_eval.observations import rows_of_score
        from rim_eval.results.figures import set_results

        before, self._rows = self._rows, {}
        for mode, facts in arms:
            cached = before.get(id(facts))
            if cached is None or cached[0] != facts:  # new, or edited in place
                cached = dict(facts), next(rows_of_score({mode: facts}))
            self._rows[id(facts)] = cached
        rows, rows_before = ([row for _, row in each.values()] for each in (self._rows, before))
        if len(rows) != len(rows_before) or any(map(is_not, rows, rows_before)):
            self._results = set_results(rows)
        return self._results


_cache: OrderedDict[int, _TaskResults] = OrderedDict()
"""By the identity of a task's first score."""


def results_of_scores(scores: Sequence[SampleScore]) -> dict[PromptKind, "SetResult"]:
    """Results of a task's scores so far, for each kind of prompts in them.

    Args:
        scores: One task's scores, each with the observations that the scorers left in its metadata.
    """
    metadata = [score.score.metadata or {} for score in scores]
    arms = [(mode, about[mode]) for about in metadata for mode in MODES if mode in about]
    if not arms:
        return {}
    task = id(arms[0][1])
    _cache.setdefault(task, _TaskResults())
    _cache.move_to_end(task)
    if len(_cache) > _TASKS:
        _cache.popitem(last=False)
    return _cache[task].update(arms)


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
    system = (result.system or result.figures).difference
    return {
        name: change.value,
        f"{name}_lower": change.lower,
        f"{name}_upper": change.upper,
        f"{name}_p": change.p_value,
        f"{name}_bound_lower": change.bound_lower,
        f"{name}_bound_upper": change.bound_upper,
        f"{name}_system": system.value if system else None,
        f"{name}_system_lower": system.lower if system else None,
        f"{name}_system_upper": system.upper if system else None,
        f"{name}_system_p": system.p_value if system else None,
        "pairs": change.n_pairs,
        "unpaired": change.n_unpaired,
        "mode_verified": float(result.mode_check.verified),
    }


def _arm_figures(result: "SetResult", mode: Mode) -> dict[str, float | None]:
    name = KIND_NAMES[result.kind].rate
    rate, arm = result.figures.rate(mode), result.counts.arms.get(mode)
    if rate is None or arm is None:
        return {}
    system = (result.system or result.figures).rate(mode)
    return {
        name: rate.value,
        f"{name}_lower": rate.lower,
        f"{name}_upper": rate.upper,
        f"{name}_system": system.value if system else None,
        "scored": rate.n_scored,
        "unscored": rate.n_unscored - arm.declined,
        "declined": arm.declined,
        **{f"unscored_{reason}": n for reason, n in arm.unscored.items()},
        "adoption": arm.adoption,
        "truncated": arm.truncated,
        "over_budget": arm.over_budget,
        "looping": arm.looping,
    }


_METRICS: Final[list[Any]] = [difference(), think(), no_think()]


@scorer(metrics=_METRICS)
def rim(judge: str = "hexphi") -> Scorer:
    """Whether the model went along with a harmful request, or refused a benign one, in each mode.

    Needs a `grader` model role unless the judge works offline; the evaluated model never judges itself
    by default.

    Args:
        judge: Name of a judge in `judges/`, path of a judge file, or `none` to judge later.
    """
    from rim_eval.inspect_tasks.scoring import judged_modes

    return judged_modes(judge)


@scorer(metrics=_METRICS)
def solved() -> Scorer:
    """Whether the answer equals the gold answer, in each mode; no model is asked.

    How far a number may lie from the gold one is the set's rule and stands with every sample, so
    that a log which is scored again is scored by it.
    """
    from rim_eval.inspect_tasks.scoring import checked_modes

    return checked_modes()
