"""Agreement of a monitor: with another monitor, or with labels that are known."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from rim_eval.judging import Agreement, Pair, agreement
from rim_eval.patterns._once import once
from rim_eval.patterns._rates import ANY_PATTERN
from rim_eval.patterns._reading import MonitorId, Part
from rim_eval.patterns._rows import PatternRow, Reply
from rim_eval.patterns._rubric import PATTERNS
from rim_eval.types import Mode

__all__ = ["LabelAgreement", "compare_monitors", "compare_with_labels"]


class LabelAgreement(BaseModel):
    """How well a monitor agrees with a reference on one label.

    The reference is in the place of people: `sensitivity` is the share of the reference's positives
    that the monitor finds, `kappa` Cohen's with its bootstrap interval. Parts that either did not
    read are counted as unscored and are in no figure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    model: str
    """Whose replies were read; `unknown` for texts that name no model."""
    dataset: str
    mode: Mode
    part: Part
    monitor: MonitorId
    reference: str
    """The other monitor as `name@version`, or where the labels come from."""
    agreement: Agreement


def compare_monitors(
    rows: Iterable[PatternRow],
    reference: Iterable[PatternRow],
    labels: Collection[str] | None = None,
) -> list[LabelAgreement]:
    """Agreement of two monitors on the same parts, by model, set, mode, part and label; never pooled.

    Args:
        rows: Rows of one monitor.
        reference: Rows of the other one; replies that only one of them has are left out.
        labels: Labels that both of them can give, beside the patterns; by default all that occur.

    Raises:
        RimError: One of them read a part twice.
    """
    ours, theirs = _by_part(rows), _by_part(reference)
    groups: dict[_Where, list[tuple[PatternRow, PatternRow]]] = defaultdict(list)
    for part, row in ours.items():
        if part in theirs:
            groups[_where(row)].append((row, theirs[part]))
    return [one for where, both in groups.items() for one in _compare(where, both, labels)]


class _Where(NamedTuple):
    model: str
    dataset: str
    mode: Mode
    part: Part


def _where(row: PatternRow) -> _Where:
    return _Where(row.model, row.dataset, row.mode, row.part)


def _by_part(rows: Iterable[PatternRow]) -> dict[tuple[Reply, Part], PatternRow]:
    return once(rows, lambda row: (row.reply, row.part), "readings")


def _compare(
    where: _Where,
    both: Sequence[tuple[PatternRow, PatternRow]],
    labels: Collection[str] | None,
) -> Iterator[LabelAgreement]:
    seen = {label for pair in both for row in pair for label in row.labels} - set(PATTERNS)
    asked = sorted(seen if labels is None else seen & set(labels))
    other = both[0][1].monitor
    for label in (ANY_PATTERN, *PATTERNS, *asked):
        pairs = [
            Pair(
                _has(reference, label),
                _has(row, label) if row.read and reference.read else None,
                row.reason or reference.reason,
            )
            for row, reference in both
        ]
        yield LabelAgreement(
            label=label,
            **where._asdict(),
            monitor=both[0][0].monitor,
            reference=f"{other.name}@{other.version}",
            agreement=agreement(pairs),
        )


def compare_with_labels(
    rows: Iterable[PatternRow], truth: Mapping[str, str], reference: str
) -> list[LabelAgreement]:
    """Agreement on traces with one known pattern a prompt, or none.

    Args:
        rows: Rows of one monitor, in the mode that the labels are about.
        truth: Prompt id to its pattern, or to any other word where there is none.
        reference: Where the labels come from.

    Raises:
        RimError: The monitor read a part twice.
    """
    groups: dict[_Where, list[PatternRow]] = defaultdict(list)
    for row in _by_part(rows).values():
        if row.prompt_id in truth and row.part == "trace":
            groups[_where(row)].append(row)
    return [
        _against(truth, where, known, label, reference)
        for where, known in groups.items()
        for label in (ANY_PATTERN, *PATTERNS)
    ]


def _against(
    truth: Mapping[str, str],
    where: _Where,
    rows: Sequence[PatternRow],
    label: str,
    reference: str,
) -> LabelAgreement:
    return LabelAgreement(
        label=label,
        **where._asdict(),
        monitor=rows[0].monitor,
        reference=reference,
        agreement=agreement([_pair(row, truth[row.prompt_id], label) for row in rows]),
    )


def _pair(row: PatternRow, truth: str, label: str) -> Pair:
    true = truth in PATTERNS if label == ANY_PATTERN else truth == label
    return Pair(true, _has(row, label) if row.read else None, row.reason)


def _has(row: PatternRow, label: str) -> bool:
    return bool(row.patterns) if label == ANY_PATTERN else label in row.labels
