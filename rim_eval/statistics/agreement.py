"""Agreement of a judge with people: counts of one group of replies, and the figures that follow from them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pydantic import (
    Field,
    NonNegativeInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from rim_eval.statistics.kappa import cohen_kappa, kappa_interval
from rim_eval.statistics.wilson import Estimate, Rate, rate
from rim_eval.types import FrozenModel

_FIGURES: Final = ("n", "n_scored", "sensitivity", "specificity", "kappa", "f1", "labels_kappa")


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

    value: float | None = None
    lower: float | None = None
    upper: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        return f"{self.value:.3f} [{self.lower:.2f}, {self.upper:.2f}]"


class Agreement(FrozenModel):
    """A judge against people on one group of replies.

    Positive means that the event happened (misaligned, or refused). Replies without a verdict of the
    judge are counted in `unscored` and are in no figure. A file shows the figures; only counts are read.
    """

    unscored: dict[str, NonNegativeInt] = Field(default={})
    """Replies without a verdict, by reason."""
    true_positive: NonNegativeInt
    false_positive: NonNegativeInt
    true_negative: NonNegativeInt
    false_negative: NonNegativeInt
    labels: dict[str, dict[str, NonNegativeInt]] | None = None
    """Counts by people's label, then the judge's, where both use the same labels."""

    @model_validator(mode="before")
    @classmethod
    def _read_counts(cls, data: Any) -> Any:
        return (
            {k: v for k, v in data.items() if k not in _FIGURES} if isinstance(data, dict) else data
        )

    @model_serializer(mode="wrap")
    def _show_figures(self, counts: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {**counts(self), **{name: getattr(self, name) for name in _FIGURES}}

    @property
    def n(self) -> int:
        """All replies."""
        return self.n_scored + sum(self.unscored.values())

    @property
    def n_scored(self) -> int:
        """Replies with a verdict."""
        return sum(self._cells)

    @property
    def sensitivity(self) -> AgreementFigure:
        """Of the replies that people call positive, the share that the judge does (Wilson)."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> AgreementFigure:
        """Of the replies that people call negative, the share that the judge does (Wilson)."""
        return _share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def kappa(self) -> AgreementFigure:
        """Cohen's kappa of the two classes: 1 = agreement, 0 = chance (bootstrap)."""
        return _figure(kappa_interval(*self._cells))

    @property
    def f1(self) -> AgreementFigure:
        """Harmonic mean of precision and sensitivity: 2 J / (1 + J) of J = tp / (tp + fp + fn) (Wilson)."""
        jaccard = _share(self.true_positive, self.n_scored - self.true_negative)
        ends = jaccard.model_dump().items()
        return AgreementFigure(**{k: v if v is None else 2 * v / (1 + v) for k, v in ends})

    @property
    def labels_kappa(self) -> float | None:
        """Cohen's kappa over the labels."""
        rows = (self.labels or {}).items()
        return cohen_kappa([(a, b) for a, row in rows for b, n in row.items() for _ in range(n)])

    @property
    def _cells(self) -> tuple[int, int, int, int]:
        return self.true_positive, self.false_positive, self.true_negative, self.false_negative


def agreement(pairs: Sequence[Pair]) -> Agreement:
    """Compare a judge with people.

    Args:
        pairs: One entry a reply; replies of several models or modes should not be mixed.
    """
    scored = [pair for pair in pairs if pair.judge is not None]
    cells = Counter((pair.human, pair.judge) for pair in scored)
    by_label = ((pair.human_label, pair.judge_label) for pair in scored)
    labels: Counter[Any] = Counter(pair for pair in by_label if all(pair))
    shared = {human for human, _ in labels} & {judge for _, judge in labels}
    names = sorted({name for pair in labels for name in pair})
    return Agreement(
        unscored=Counter(str(pair.reason) for pair in pairs if pair.judge is None),
        true_positive=cells[True, True],
        false_positive=cells[False, True],
        true_negative=cells[False, False],
        false_negative=cells[True, False],
        labels={a: {b: labels[a, b] for b in names} for a in names} if shared else None,
    )


def krippendorff_alpha(votes: Sequence[Sequence[bool | None]]) -> float | None:
    """Krippendorff's alpha among judges, for nominal data of two values: 1 = agreement, 0 = chance.

    alpha = 1 - D_o / D_e = 1 - (n - 1) * sum_u[y_u * (m_u - y_u) / (m_u - 1)] / (y * (n - y)), where reply u has
    m_u >= 2 votes, y_u of them yes, and n and y are their sums (Krippendorff 2011, Computing Krippendorff's
    Alpha-Reliability, sections B and C). Replies with fewer than two votes are left out.

    Args:
        votes: One sequence a reply, one vote a judge; None where a judge cast none.

    Returns:
        Alpha, at most 1 and below 0 for discord; None when no reply has two votes, or all votes are equal so that
        chance agreement is not defined.
    """
    cast = [[vote for vote in row if vote is not None] for row in votes]
    counts = [(len(row), sum(row)) for row in cast if len(row) > 1]
    n, yes = sum(m for m, _ in counts), sum(y for _, y in counts)
    if yes in (0, n):
        return None
    observed = sum(y * (m - y) / (m - 1) for m, y in counts)
    return 1 - (n - 1) * observed / (yes * (n - yes))


def _share(k: int, n: int) -> AgreementFigure:
    return _figure(rate(k, n) if n else None)


def _figure(estimate: Estimate | Rate | None) -> AgreementFigure:
    if estimate is None:
        return AgreementFigure()
    return AgreementFigure(value=estimate.value, lower=estimate.lower, upper=estimate.upper)
