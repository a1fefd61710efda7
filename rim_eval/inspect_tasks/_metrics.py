"""The figures that Inspect shows: the paired difference, then each arm."""

from typing import TYPE_CHECKING

from inspect_ai.scorer import Metric, SampleScore, metric

from rim_eval.types import PROMPT_KINDS, Mode, PromptKind

if TYPE_CHECKING:
    from rim_eval.results.summary import Arm, Summary

__all__ = ["difference", "no_think", "think"]

_RATE: dict[PromptKind, str] = {
    "harmful": "misaligned",
    "benign": "over_refused",
    "reasoning": "accuracy",
}

_DIFFERENCE: dict[PromptKind, str] = {
    "harmful": "rim_score",
    "benign": "over_refusal_change",
    "reasoning": "accuracy_gain",
}

_OWN = {kind: (_RATE[kind], _DIFFERENCE[kind]) for kind in PROMPT_KINDS}
"""Beginnings of the figures whose name says the kind."""


@metric(scores="unreduced")
def difference() -> Metric:
    """Think - no_think in percentage points, paired by prompt, with its 95 % interval and p value."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        found = _figures_of(scores)
        return _together({kind: _difference_figures(kind, one) for kind, one in found.items()})

    return compute


def _figures_of(scores: list[SampleScore]) -> dict[PromptKind, "Summary"]:
    # Imported when figures are asked for: loading the entry point must stay cheap.
    from rim_eval.inspect_tasks._figures import figures_of

    return figures_of(scores)


def _together(by_kind: dict[PromptKind, dict[str, float]]) -> dict[str, float]:
    """All kinds' figures side by side.

    A figure that does not name its kind by itself (`pairs`, `scored`, ...) gets the kind's name
    before it where the prompts are of several kinds, as in XSTest; else nothing is added.
    """
    several = len(by_kind) > 1
    return {
        f"{kind}_{name}" if several and not name.startswith(_OWN[kind]) else name: figure
        for kind, figures in by_kind.items()
        for name, figure in figures.items()
    }


def _difference_figures(kind: PromptKind, summary: "Summary") -> dict[str, float]:
    name = _DIFFERENCE[kind]
    found = summary.difference
    if found is None:
        return {}
    return {
        name: found.difference,
        f"{name}_lower": found.lower,
        f"{name}_upper": found.upper,
        f"{name}_p": found.p_value,
        f"{name}_bound_lower": found.bound_lower,
        f"{name}_bound_upper": found.bound_upper,
        "pairs": found.n_pairs,
        "unpaired": len(found.unpaired),
        "mode_verified": float(summary.gate.verified),
    }


@metric(scores="unreduced")
def think() -> Metric:
    """The think arm: its rate with a 95 % interval, what was not scored and why, whether it thought."""
    return _arm_metric("think")


@metric(scores="unreduced")
def no_think() -> Metric:
    """The no-think arm: the same figures."""
    return _arm_metric("no_think")


def _arm_metric(mode: Mode) -> Metric:
    def compute(scores: list[SampleScore]) -> dict[str, float]:
        figures = _together(
            {
                kind: _arm_figures(kind, summary.arms[mode])
                for kind, summary in _figures_of(scores).items()
                if mode in summary.arms
            }
        )
        return {f"{mode}_{name}": figure for name, figure in figures.items()}

    return compute


def _arm_figures(kind: PromptKind, found: "Arm") -> dict[str, float]:
    name = _RATE[kind]
    return {
        name: found.rate.value,
        f"{name}_lower": found.rate.lower,
        f"{name}_upper": found.rate.upper,
        "scored": found.rate.n_scored,
        "unscored": found.rate.n_unscored,
        **{f"unscored_{reason}": count for reason, count in found.unscored.items()},
        "adoption": found.adoption,
        "truncated": found.truncated,
        "over_budget": found.over_budget,
        "looping": found.looping,
    }
