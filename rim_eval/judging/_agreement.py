"""How well a judge agrees with people: sensitivity, specificity, kappa and F1 with intervals."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

__all__ = ["Agreement", "Estimate", "Pair", "agreement", "cohen_kappa"]

_DRAWS: Final = 4000
_SEED: Final = 20260101
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Pair(NamedTuple):
    """One reply: what people said and what the judge said."""

    human: bool
    judge: bool | None
    """None when the judge gave no verdict."""
    reason: str | None = None
    human_label: str | None = None
    judge_label: str | None = None


class Estimate(BaseModel):
    """One figure with its 95 % interval; all None when the data cannot give it."""

    model_config = _FROZEN

    value: float | None
    lower: float | None
    upper: float | None


class Agreement(BaseModel):
    """A judge against people on one group of replies.

    Positive means that the event happened (misaligned, or refused). Replies without a verdict of the
    judge are counted in `unscored` and are in no figure.
    """

    model_config = _FROZEN

    n: int
    n_scored: int
    unscored: dict[str, int]
    """Replies without a verdict, by reason."""
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    sensitivity: Estimate
    """Of the replies that people call positive, the share that the judge does (Wilson)."""
    specificity: Estimate
    """Of the replies that people call negative, the share that the judge does (Wilson)."""
    kappa: Estimate
    """Cohen's kappa of the two classes: 1 = agreement, 0 = chance (bootstrap)."""
    f1: Estimate
    """Harmonic mean of precision and sensitivity (bootstrap)."""
    labels: dict[str, dict[str, int]] | None = None
    """Counts by people's label, then the judge's, where both use the same labels."""
    labels_kappa: float | None = None
    """Cohen's kappa over these labels."""


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Compare a judge with people.

    Args:
        pairs: One entry a reply; replies of several models or modes should not be mixed.
    """
    scored = [pair for pair in pairs if pair.judge is not None]
    cells = Counter((pair.human, pair.judge) for pair in scored)
    tp, fn = cells[True, True], cells[True, False]
    fp, tn = cells[False, True], cells[False, False]
    labels = _labels(scored)
    return Agreement(
        n=len(pairs),
        n_scored=len(scored),
        unscored=dict(Counter(str(pair.reason) for pair in pairs if pair.judge is None)),
        true_positive=tp,
        false_positive=fp,
        true_negative=tn,
        false_negative=fn,
        sensitivity=_share(tp, tp + fn),
        specificity=_share(tn, tn + fp),
        kappa=_bootstrapped(_kappa_of_cells, (tp, fp, tn, fn)),
        f1=_bootstrapped(_f1_of_cells, (tp, fp, tn, fn)),
        labels=labels,
        labels_kappa=cohen_kappa(_label_pairs(scored)) if labels else None,
    )


def cohen_kappa(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """Cohen's kappa of two raters over any labels; None when chance agreement is total or n is 0."""
    n = len(pairs)
    if not n:
        return None
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    agree = sum(a == b for a, b in pairs) / n
    chance = sum(first[label] * second[label] for label in first) / n**2
    return None if chance == 1 else (agree - chance) / (1 - chance)


def _label_pairs(pairs: Sequence[Pair]) -> list[tuple[str, str]]:
    return [(p.human_label, p.judge_label) for p in pairs if p.human_label and p.judge_label]


def _labels(pairs: Sequence[Pair]) -> dict[str, dict[str, int]] | None:
    found = _label_pairs(pairs)
    human, judge = {a for a, _ in found}, {b for _, b in found}
    if not human & judge:
        return None
    names = sorted(human | judge)
    counts = Counter(found)
    return {a: {b: counts[a, b] for b in names} for a in names}


def _share(k: int, n: int) -> Estimate:
    from rim_eval.statistics import rate

    if not n:
        return Estimate(value=None, lower=None, upper=None)
    found = rate(k, n)
    return Estimate(value=found.value, lower=found.lower, upper=found.upper)


Cells = tuple[Any, Any, Any, Any]
"""Counts tp, fp, tn, fn: numbers, or arrays of one count a bootstrap draw."""


def _kappa_of_cells(cells: Cells) -> Any:
    tp, fp, tn, fn = cells
    n = tp + fp + tn + fn
    chance = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)) / n**2
    return ((tp + tn) / n - chance) / (1 - chance)


def _f1_of_cells(cells: Cells) -> Any:
    tp, fp, _, fn = cells
    return 2 * tp / (2 * tp + fp + fn)


def _bootstrapped(figure: Callable[[Cells], Any], cells: Cells) -> Estimate:
    """A figure of the four cells with its percentile bootstrap interval over replies."""
    import numpy as np

    counts = np.array(cells, dtype=float)
    if not counts.sum():
        return Estimate(value=None, lower=None, upper=None)
    draws = np.random.default_rng(_SEED).multinomial(
        int(counts.sum()), counts / counts.sum(), _DRAWS
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        value = figure(tuple(counts))
        spread = figure(tuple(draws.T.astype(float)))
    spread = spread[np.isfinite(spread)]
    if not np.isfinite(value) or not len(spread):
        return Estimate(value=None, lower=None, upper=None)
    lower, upper = np.percentile(spread, [2.5, 97.5])
    return Estimate(value=float(value), lower=float(lower), upper=float(upper))
