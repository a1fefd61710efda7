"""How well a judge agrees with people: sensitivity, specificity, kappa and F1 with intervals."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict

__all__ = ["Agreement", "Estimate", "Pair", "agreement", "cohen_kappa", "pooled"]

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
    return _of_counts(
        Counter(str(pair.reason) for pair in pairs if pair.judge is None),
        (cells[True, True], cells[False, True], cells[False, False], cells[True, False]),
        _labels(scored),
    )


def pooled(parts: Sequence[Agreement]) -> Agreement:
    """The figures over several groups of replies together, from their counts."""
    unscored: Counter[str] = Counter()
    labels: Counter[tuple[str, str]] = Counter()
    for part in parts:
        unscored.update(part.unscored)
        table = (part.labels or {}).items()
        labels.update({(a, b): n for a, row in table for b, n in row.items()})
    cells = (
        sum(part.true_positive for part in parts),
        sum(part.false_positive for part in parts),
        sum(part.true_negative for part in parts),
        sum(part.false_negative for part in parts),
    )
    return _of_counts(unscored, cells, _table(labels) if labels else None)


def _of_counts(
    unscored: Counter[str],
    cells: tuple[int, int, int, int],
    labels: dict[str, dict[str, int]] | None,
) -> Agreement:
    tp, fp, tn, fn = cells
    return Agreement(
        n=sum(cells) + unscored.total(),
        n_scored=sum(cells),
        unscored=dict(unscored),
        true_positive=tp,
        false_positive=fp,
        true_negative=tn,
        false_negative=fn,
        sensitivity=_share(tp, tp + fn),
        specificity=_share(tn, tn + fp),
        kappa=_bootstrapped(_kappa_of_cells, cells),
        f1=_bootstrapped(_f1_of_cells, cells),
        labels=labels,
        labels_kappa=cohen_kappa(_each(labels)) if labels else None,
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


def _labels(pairs: Sequence[Pair]) -> dict[str, dict[str, int]] | None:
    found = [(p.human_label, p.judge_label) for p in pairs if p.human_label and p.judge_label]
    shared = {a for a, _ in found} & {b for _, b in found}
    return _table(Counter(found)) if shared else None


def _table(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    names = sorted({name for pair in counts for name in pair})
    return {a: {b: counts[a, b] for b in names} for a in names}


def _each(labels: dict[str, dict[str, int]]) -> list[tuple[str, str]]:
    return [(a, b) for a, row in labels.items() for b, n in row.items() for _ in range(n)]


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
