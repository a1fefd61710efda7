"""Whether what a card says of its judge follows from the counts of labelled replies on it."""

import math
from collections.abc import Iterator

from rim_eval.card._derived import EVENTS, correct
from rim_eval.card._differ import differ
from rim_eval.card._schema import Corrected, JudgeCard, JudgeFigures, SetCard
from rim_eval.errors import RimError

__all__ = ["judge_problems"]


def judge_problems(found: SetCard, level: float) -> Iterator[str]:
    """What is wrong with the agreement figures of a set's judge and with the rates corrected by them."""
    if found.judge is not None:
        yield from _agreement(found, found.judge)
    again = _corrected(found, level)
    if again is None and found.corrected is not None:
        yield "corrected figures stand there, and the judge's measured counts give none"
        return
    yield from differ("corrected figures", found.corrected, again)


def _corrected(found: SetCard, level: float) -> Corrected | None:
    try:
        return correct(found.counts, found.judge, level)
    except (RimError, KeyError, ValueError):
        return None


def _agreement(found: SetCard, judge: JudgeCard) -> Iterator[str]:
    groups = [(f.set, f.model, f.mode) for f in judge.measured]
    if len(set(groups)) < len(groups):
        yield "the judge's agreement on one group of replies stands there twice"
    for each in judge.measured:
        place = f"the judge's agreement on {each.set} ({each.model}, {each.mode})"
        if each.event != EVENTS.get(found.kind) or each.grader != judge.model:
            yield f"{place} is of another event or grader"
        yield from (f"{place}: {problem}" for problem in _kappa(each))


def _kappa(found: JudgeFigures) -> Iterator[str]:
    again = _kappa_of(found)
    if found.kappa is None:  # Not told; the counts it follows from are there.
        return
    if again is None or not math.isclose(found.kappa, again, abs_tol=1e-6):
        yield f"kappa is {found.kappa}, the counts give {again}"


def _kappa_of(found: JudgeFigures) -> float | None:
    """Cohen's kappa of the four counts; None where chance agreement is total, or nothing was counted."""
    tp, fp = found.true_positive, found.false_positive
    tn, fn = found.true_negative, found.false_negative
    n = found.n
    by_chance = (tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)
    return ((tp + tn) * n - by_chance) / (n * n - by_chance) if n * n > by_chance else None
