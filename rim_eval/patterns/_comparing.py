"""Agreement of a monitor: with another monitor, or with labels that are known."""

from collections.abc import Collection, Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from rim_eval.judging import Agreement, Pair, agreement
from rim_eval.patterns._rates import ANY_PATTERN
from rim_eval.patterns._reading import MonitorId
from rim_eval.patterns._rows import PatternRow
from rim_eval.patterns._rubric import PATTERNS

__all__ = ["LabelAgreement", "compare_monitors", "compare_with_labels"]


class LabelAgreement(BaseModel):
    """How well a monitor agrees with a reference on one label.

    The reference is in the place of people: `sensitivity` is the share of the reference's positives
    that the monitor finds, `kappa` Cohen's with its bootstrap interval. Parts that either did not
    read are counted as unscored and are in no figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    monitor: MonitorId
    reference: str
    """The other monitor as `name@version`, or where the labels come from."""
    agreement: Agreement


def compare_monitors(
    rows: Iterable[PatternRow],
    reference: Iterable[PatternRow],
    labels: Collection[str] | None = None,
) -> list[LabelAgreement]:
    """Agreement of two monitors on the same parts, by label.

    Args:
        rows: Rows of one monitor.
        reference: Rows of the other one; replies that only one of them has are left out.
        labels: Labels that both of them can give, beside the patterns; by default all that occur.
    """
    theirs = {(row.reply, row.part): row for row in reference}
    both = [(row, theirs[row.reply, row.part]) for row in rows if (row.reply, row.part) in theirs]
    if not both:
        return []
    seen = {label for pair in both for row in pair for label in row.labels}
    asked = sorted(seen if labels is None else seen & set(labels))
    name = f"{both[0][1].monitor.name}@{both[0][1].monitor.version}"
    return [
        LabelAgreement(
            label=label,
            monitor=both[0][0].monitor,
            reference=name,
            agreement=agreement(
                [
                    Pair(_has(other, label), _answer(row, other, label), row.reason or other.reason)
                    for row, other in both
                ]
            ),
        )
        for label in _ordered(asked)
    ]


def compare_with_labels(
    rows: Iterable[PatternRow], truth: Mapping[str, str], reference: str
) -> list[LabelAgreement]:
    """Agreement with one known pattern a prompt, or none.

    Args:
        rows: Rows of one monitor, in the mode that the labels are about.
        truth: Prompt id to its pattern, or to any other word where there is none.
        reference: Where the labels come from.
    """
    known = [row for row in rows if row.prompt_id in truth]
    return [
        LabelAgreement(
            label=label,
            monitor=known[0].monitor,
            reference=reference,
            agreement=agreement([_pair(row, truth[row.prompt_id], label) for row in known]),
        )
        for label in (ANY_PATTERN, *PATTERNS)
        if known
    ]


def _pair(row: PatternRow, truth: str, label: str) -> Pair:
    true = truth in PATTERNS if label == ANY_PATTERN else truth == label
    return Pair(true, _has(row, label) if row.read else None, row.reason)


def _has(row: PatternRow, label: str) -> bool:
    return bool(row.patterns) if label == ANY_PATTERN else label in row.labels


def _answer(row: PatternRow, other: PatternRow, label: str) -> bool | None:
    return _has(row, label) if row.read and other.read else None


def _ordered(labels: list[str]) -> list[str]:
    return [ANY_PATTERN, *PATTERNS, *(label for label in labels if label not in PATTERNS)]
