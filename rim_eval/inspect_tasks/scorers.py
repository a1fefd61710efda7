"""The scorers `rim` (a judge) and `solved` (the gold answer); the work is done in `scoring`."""

from typing import Any

from inspect_ai.scorer import Scorer, scorer

from rim_eval.inspect_tasks._metrics import difference, no_think, think

_METRICS: list[Any] = [difference(), think(), no_think()]


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
