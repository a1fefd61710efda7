"""How often patterns occur, and how often replies with and without them are misaligned."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from rim_eval.observations import Observation
from rim_eval.patterns._once import once
from rim_eval.patterns._reading import MonitorId, Part, UnreadReason
from rim_eval.patterns._rows import PatternRow, Reply, reply_of
from rim_eval.patterns._rubric import PATTERNS
from rim_eval.statistics import ArmSummary, arm_summary
from rim_eval.types import Mode, PromptKind

__all__ = ["ANY_PATTERN", "Conditional", "Group", "Prevalence", "conditional_rates", "prevalence"]

ANY_PATTERN = "any_pattern"

_FROZEN = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Group(NamedTuple):
    """Rows that may be counted together: never across models, sets, modes, parts or monitors."""

    model: str
    dataset: str
    kind: PromptKind
    mode: Mode
    part: Part
    monitor: MonitorId


class Prevalence(BaseModel):
    """How often labels occur in the parts that one monitor read."""

    model_config = _FROZEN

    group: Group
    n: int
    """Parts asked about."""
    unread: dict[UnreadReason, int]
    """Parts that were not read, by reason; in no rate, but in its bounds."""
    unsupported: int
    """Labels that the grader gave without words that occur in the part; counted as not found."""
    rates: dict[str, ArmSummary]
    """Share of prompts' replies that show a label, fractions: patterns, then all that was found."""


class Conditional(BaseModel):
    """The event's rate among replies that show a label, that do not, and that show no pattern at all.

    An association: what makes a model reason so may also make it misaligned. For harmful prompts
    the event is misalignment, for benign ones refusal, for reasoning a correct answer.
    """

    model_config = _FROZEN

    group: Group
    label: str
    given: ArmSummary
    """Among replies that show the label; fractions."""
    without: ArmSummary
    """Among replies that were read and do not show it."""
    no_pattern: ArmSummary
    """Among replies that were read and show none of the patterns."""


def prevalence(rows: Iterable[PatternRow], level: float = 0.95) -> list[Prevalence]:
    """Prevalence of every label, apart for each model, set, mode, part and monitor.

    Args:
        rows: Pattern rows, of any runs.
        level: Confidence level of the intervals.

    Raises:
        RimError: A monitor's reading of one part occurs more than once.
    """
    return [_prevalence(group, ours, level) for group, ours in _grouped(rows).items()]


def _prevalence(group: Group, rows: Sequence[PatternRow], level: float) -> Prevalence:
    return Prevalence(
        group=group,
        n=len(rows),
        unread=dict(Counter(row.reason for row in rows if row.reason is not None)),
        unsupported=sum(len(row.unsupported) for row in rows),
        rates={
            label: arm_summary(_verdicts(rows, partial(_shows, label)), level)
            for label in _labels(rows)
        },
    )


def conditional_rates(
    rows: Iterable[PatternRow], observations: Iterable[Observation], level: float = 0.95
) -> list[Conditional]:
    """The event's rate given each label and given none.

    Args:
        rows: Pattern rows.
        observations: Observations of the same replies by one judge.
        level: Confidence level of the intervals.

    Raises:
        RimError: A reply has two verdicts, or was read by one monitor twice.
    """
    judged = once(observations, reply_of, "verdicts")
    verdicts = {reply: observation.verdict for reply, observation in judged.items()}
    return [
        conditional
        for group, ours in _grouped(rows).items()
        for conditional in _conditionals(group, ours, verdicts, level)
    ]


def _conditionals(
    group: Group,
    rows: Sequence[PatternRow],
    verdicts: Mapping[Reply, bool | None],
    level: float,
) -> Iterator[Conditional]:
    read = [row for row in rows if row.read and row.reply in verdicts]

    def rate(kept: Iterable[PatternRow]) -> ArmSummary:
        return arm_summary(_verdicts(kept, lambda row: verdicts[row.reply]), level)

    no_pattern = rate(row for row in read if not row.patterns)
    for label in _labels(rows) if read else ():
        yield Conditional(
            group=group,
            label=label,
            given=rate(row for row in read if _found(label, row)),
            without=rate(row for row in read if not _found(label, row)),
            no_pattern=no_pattern,
        )


def _grouped(rows: Iterable[PatternRow]) -> dict[Group, list[PatternRow]]:
    groups: dict[Group, list[PatternRow]] = defaultdict(list)
    for row in once(rows, lambda row: row.reading, "readings").values():
        key = Group(row.model, row.dataset, row.kind, row.mode, row.part, row.monitor)
        groups[key].append(row)
    return dict(groups)


def _labels(rows: Sequence[PatternRow]) -> list[str]:
    """The patterns always, zero or not; then everything that occurs, by name."""
    fixed = (ANY_PATTERN, *PATTERNS)
    return [*fixed, *sorted({label for row in rows for label in row.labels} - set(fixed))]


def _found(label: str, row: PatternRow) -> bool:
    return bool(row.patterns) if label == ANY_PATTERN else label in row.labels


def _shows(label: str, row: PatternRow) -> bool | None:
    return _found(label, row) if row.read else None


def _verdicts(
    rows: Iterable[PatternRow], verdict: Callable[[PatternRow], bool | None]
) -> dict[str, list[float | None]]:
    """Prompt id to verdicts by epoch."""
    found: dict[str, list[float | None]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.epoch):
        value = verdict(row)
        found[row.prompt_id].append(None if value is None else float(value))
    return dict(found)
