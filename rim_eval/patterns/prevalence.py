"""Prevalence of patterns, and the outcome of replies with and without them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rim_eval.formatting import KIND_WORDS, NOTHING_TO_READ, interval, percent
from rim_eval.observations import Observation
from rim_eval.patterns.monitor import ANY_PATTERN, MonitorId, Part, UnreadReason
from rim_eval.patterns.rows import PatternRow, index_unique, reply_of, verdicts_by_prompt
from rim_eval.statistics import ArmSummary, arm_summary
from rim_eval.types import PATTERNS, FrozenModel, Mode, PromptKind


class Group(NamedTuple):
    """Rows that may be pooled: of one model, set, mode, part and monitor."""

    model: str
    dataset: str
    kind: PromptKind
    mode: Mode
    part: Part
    monitor: MonitorId

    def __str__(self) -> str:
        return (
            f"{self.dataset} ({self.kind}), {self.mode}, {self.part}; {self.monitor}; {self.model}"
        )


class Prevalence(FrozenModel):
    """How often labels occur in the parts that one monitor read."""

    group: Group
    n: int
    """Parts that the monitor was given."""
    unread: dict[UnreadReason, int]
    """Parts that were not read, by reason: in no rate, but in its bounds."""
    unsupported: int
    """Labels that the grader gave without a quotation; counted as not found."""
    rates: dict[str, ArmSummary]
    """Share of replies that show a label, fractions: any pattern, each pattern, then other labels."""

    @property
    def n_read(self) -> int:
        """Parts that were read."""
        return self.n - sum(self.unread.values())

    @property
    def nothing_to_read(self) -> bool:
        """Whether no reply has such a part, as in no-think mode, where no trace is to be."""
        return self.unread == {"no_trace": self.n}


class Conditional(FrozenModel):
    """Rate of the event among replies with a label, without it, and without any pattern.

    The event is misalignment for harmful prompts, refusal for benign ones, a correct answer for
    reasoning. The rates are an association: what makes a model reason so may also make it misaligned.
    """

    group: Group
    label: str
    given: ArmSummary
    """Among replies that show the label; fractions."""
    without: ArmSummary
    """Among replies that were read and do not show it."""
    no_pattern: ArmSummary
    """Among replies that were read and show no pattern."""


def prevalence(rows: Iterable[PatternRow], level: float = 0.95) -> list[Prevalence]:
    """Compute the prevalence of every label, separately for each `Group`.

    Args:
        rows: Pattern rows of any runs.
        level: Confidence level of the intervals.

    Raises:
        RimError: A monitor's reading of one part occurs more than once.
    """

    def rate(members: Sequence[PatternRow], label: str) -> ArmSummary:
        verdicts = verdicts_by_prompt(members, lambda row: row.has(label) if row.read else None)
        return arm_summary(verdicts, level)

    return [
        Prevalence(
            group=group,
            n=len(members),
            unread=dict(Counter(row.reason for row in members if row.reason is not None)),
            unsupported=sum(len(row.unsupported) for row in members),
            rates={label: rate(members, label) for label in _labels(members)},
        )
        for group, members in _grouped(rows).items()
    ]


def conditional_rates(
    rows: Iterable[PatternRow], observations: Iterable[Observation], level: float = 0.95
) -> list[Conditional]:
    """Compute the event's rate with and without each label, separately for each `Group`.

    Args:
        rows: Pattern rows.
        observations: Observations of the same replies by one judge.
        level: Confidence level of the intervals.

    Raises:
        RimError: A reply has two verdicts, or was read by one monitor twice.
    """
    judged = index_unique(observations, reply_of, "verdicts")

    def rate(members: Iterable[PatternRow]) -> ArmSummary:
        verdicts = verdicts_by_prompt(members, lambda row: judged[reply_of(row)].verdict)
        return arm_summary(verdicts, level)

    rates: list[Conditional] = []
    for group, members in _grouped(rows).items():
        read = [row for row in members if row.read and reply_of(row) in judged]
        no_pattern = rate(row for row in read if not row.patterns)
        rates += [
            Conditional(
                group=group,
                label=label,
                given=rate(row for row in read if row.has(label)),
                without=rate(row for row in read if not row.has(label)),
                no_pattern=no_pattern,
            )
            for label in (_labels(members) if read else ())
        ]
    return rates


def _grouped(rows: Iterable[PatternRow]) -> dict[Group, list[PatternRow]]:
    groups: dict[Group, list[PatternRow]] = defaultdict(list)
    for row in index_unique(rows, lambda row: row.reading, "readings").values():
        key = Group(row.model, row.dataset, row.kind, row.mode, row.part, row.monitor)
        groups[key].append(row)
    return dict(groups)


def _labels(rows: Iterable[PatternRow]) -> list[str]:
    """The patterns, zero or not; then every other label that occurs, by name."""
    fixed = (ANY_PATTERN, *PATTERNS)
    return [*fixed, *sorted({label for row in rows for label in row.labels} - set(fixed))]


def prevalence_table(groups: Iterable[Prevalence]) -> str:
    """Format the prevalence of each group as text."""
    tables = []
    for one in groups:
        unread = ", ".join(f"{n} {reason}" for reason, n in sorted(one.unread.items()))
        reasons = f" (not read: {unread})" if unread else ""
        read = f"{one.n_read} of {one.n} read{reasons}"
        if one.nothing_to_read:
            read = f"{NOTHING_TO_READ}, none of {one.n} replies has a trace"
        lines = [f"PREVALENCE  {one.group}: {read}"]
        if one.n_read:
            lines += [f"  {label:<30}{rate_text(rate)}" for label, rate in one.rates.items()]
        if one.n_read and one.unsupported:
            lines.append(
                f"  {one.unsupported} labels without words in the text, counted as not found"
            )
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def conditional_table(rates: Iterable[Conditional]) -> str:
    """Format the event's rates with and without each label that occurs as text, by group."""
    groups: dict[Group, list[Conditional]] = defaultdict(list)
    for one in rates:
        if one.given.n_prompts:
            groups[one.group].append(one)
    tables = []
    for group, members in groups.items():
        rate = KIND_WORDS[group.kind].rate.upper()
        lines = [
            f"{rate}  {group} (an association, not an effect)",
            f"  {'':<30}{'with it':<37}without it",
            *(
                f"  {one.label:<30}{rate_text(one.given):<37}{rate_text(one.without)}"
                for one in members
            ),
            f"  {'(no pattern at all)':<30}{rate_text(members[0].no_pattern)}",
        ]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def rate_text(rate: ArmSummary) -> str:
    """Format a rate with its interval and n, in percent."""
    if not rate.n_prompts_scored:
        return "-  (n = 0)"
    ends = interval(rate.lower, rate.upper, share=True)
    return f"{percent(rate.value):>7} ({ends}), n = {rate.n_prompts_scored}"
