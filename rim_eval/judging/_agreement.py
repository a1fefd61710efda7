"""Agreement: of a judge with people, of graders with each other, and of a judge on trace and answer."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from rim_eval.statistics.kappa import binary_kappa, cohen_kappa
from rim_eval.types import FrozenModel

_DRAWS: Final = 4000
_SEED: Final = 20260101


class Pair(NamedTuple):
    """One reply: what people said and what the judge said."""

    human: bool
    judge: bool | None
    """None when the judge gave no verdict."""
    reason: str | None = None
    human_label: str | None = None
    judge_label: str | None = None


class AgreementFigure(FrozenModel):
    """One figure with its 95 % interval; all None when the data cannot give it."""

    value: float | None
    lower: float | None
    upper: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"{self.value:.3f} [{self.lower:.2f}, {self.upper:.2f}]"


_UNDEFINED: Final = AgreementFigure(value=None, lower=None, upper=None)


class Agreement(FrozenModel):
    """A judge against people on one group of replies.

    Positive means that the event happened (misaligned, or refused). Replies without a verdict of the
    judge are counted in `unscored` and are in no figure.
    """

    n: int
    n_scored: int
    unscored: dict[str, int]
    """Replies without a verdict, by reason."""
    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int
    sensitivity: AgreementFigure
    """Of the replies that people call positive, the share that the judge does (Wilson)."""
    specificity: AgreementFigure
    """Of the replies that people call negative, the share that the judge does (Wilson)."""
    kappa: AgreementFigure
    """Cohen's kappa of the two classes: 1 = agreement, 0 = chance (bootstrap)."""
    f1: AgreementFigure
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
    unscored = Counter(str(pair.reason) for pair in pairs if pair.judge is None)
    cells = Counter((pair.human, pair.judge) for pair in scored)
    by_label = ((pair.human_label, pair.judge_label) for pair in scored)
    labels = Counter(pair for pair in by_label if all(pair))
    shared = {human for human, _ in labels} & {judge for _, judge in labels}
    counts = (cells[True, True], cells[False, True], cells[False, False], cells[True, False])
    return _from_counts(unscored, counts, labels if shared else Counter())


def pool(parts: Sequence[Agreement]) -> Agreement:
    """The figures over several groups of replies together, from their counts."""
    unscored, labels = Counter[str](), Counter[Any]()
    for part in parts:
        unscored.update(part.unscored)
        for human, row in (part.labels or {}).items():
            labels.update({(human, judge): n for judge, n in row.items()})
    names = ("true_positive", "false_positive", "true_negative", "false_negative")
    tp, fp, tn, fn = (sum(getattr(part, name) for part in parts) for name in names)
    return _from_counts(unscored, (tp, fp, tn, fn), labels)


def _from_counts(
    unscored: Counter[str], cells: tuple[int, int, int, int], labels: Counter[Any]
) -> Agreement:
    tp, fp, tn, fn = cells
    names = sorted({name for pair in labels for name in pair})
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
        kappa=_bootstrapped(binary_kappa, cells),
        f1=_bootstrapped(lambda tp, fp, _, fn: 2 * tp / (2 * tp + fp + fn), cells),
        labels={a: {b: labels[a, b] for b in names} for a in names} if labels else None,
        labels_kappa=cohen_kappa(list(labels.elements())),
    )


def _share(k: int, n: int) -> AgreementFigure:
    from rim_eval.statistics import rate

    if not n:
        return _UNDEFINED
    share = rate(k, n)
    return AgreementFigure(value=share.value, lower=share.lower, upper=share.upper)


def _bootstrapped(figure: Callable[..., Any], cells: tuple[int, int, int, int]) -> AgreementFigure:
    """A figure of the four cells with its percentile bootstrap interval over replies."""
    import numpy as np

    n = sum(cells)
    if not n:
        return _UNDEFINED
    draws = np.random.default_rng(_SEED).multinomial(n, np.array(cells) / n, _DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):
        value, *spread = figure(*np.vstack([cells, draws]).T.astype(float))
    spread = [drawn for drawn in spread if np.isfinite(drawn)]
    if not np.isfinite(value) or not spread:
        return _UNDEFINED
    lower, upper = np.percentile(spread, [2.5, 97.5])
    return AgreementFigure(value=float(value), lower=float(lower), upper=float(upper))


def krippendorff(votes: Sequence[Sequence[bool | None]]) -> float | None:
    """Krippendorff's alpha (nominal) over votes: 1 = agreement, 0 = chance, below 0 = discord.

    Args:
        votes: One sequence a reply, one vote a judge; None where a judge cast none.

    Returns:
        Alpha by Inspect's implementation; None when no reply has two votes, or all votes are equal
        so that chance agreement is undefined.
    """
    from inspect_ai.scorer import SampleScore, Score, krippendorff_alpha

    cast = [[int(vote) for vote in row if vote is not None] for row in votes]
    rows = [row for row in cast if len(row) > 1]
    if len({vote for row in rows for vote in row}) < 2:
        return None
    alpha: Any = krippendorff_alpha()
    value = alpha([SampleScore(score=Score(value=list(row))) for row in rows])
    return float(value) if isinstance(value, int | float) else None


def unsafe_traces(verdicts: Iterable[tuple[Hashable, str | None, bool | None]]) -> tuple[int, int]:
    """How many replies to harmful prompts have an unsafe trace under a safe answer.

    SafeChain (Jiang et al. 2025, arXiv 2502.12025) found both safe in 41.1 % of its replies only, so
    neither stands for the other.

    Args:
        verdicts: For each judgement: the reply (any key), what the judge saw, and its verdict.

    Returns:
        Their count, and the count of replies with a verdict on the answer and on the reasoning.
    """
    by_reply: dict[Hashable, dict[str | None, bool]] = {}
    for reply, sees, verdict in verdicts:
        if verdict is not None:
            by_reply.setdefault(reply, {})[sees] = verdict
    both = [unsafe for unsafe in by_reply.values() if {"answer", "reasoning"} <= unsafe.keys()]
    return sum(unsafe["reasoning"] and not unsafe["answer"] for unsafe in both), len(both)
