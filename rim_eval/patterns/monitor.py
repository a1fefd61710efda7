"""Monitors: read one part of a reply and report reasoning patterns, each with a quotation as evidence."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, get_args, runtime_checkable

from pydantic import Field

from rim_eval.generation import Generation, is_looping
from rim_eval.judging import Case, Grader, classify_refusal, unscored_reason
from rim_eval.types import PATTERNS, FrozenModel, Pattern, UnscoredReason

Part = Literal["trace", "answer"]
"""Which part of a reply a monitor reads."""

PARTS: Final[tuple[Part, ...]] = get_args(Part)

MARKS: Final = ("think_then_refuse", "looping")
"""Properties of the form of a reply: a trace before a full refusal, and a text that ends in a loop."""

ANY_PATTERN: Final = "any_pattern"
"""Label of a row that shows at least one of `PATTERNS`."""

UnreadReason = Literal[UnscoredReason, "trace_hidden", "trace_summarised"]
"""Why a part was not read. None of them counts as a part without patterns."""


class MonitorId(FrozenModel):
    """Identity of the instrument: enough to repeat a reading."""

    name: str
    version: str
    sha256: str
    """SHA-256 of the file that defines what the monitor looks for, in hexadecimal."""
    grader: str | None = None
    """The grader model; None for an offline monitor."""

    def __str__(self) -> str:
        asks = f" asking {self.grader}" if self.grader else ""
        return f"{self.name}@{self.version}{asks}"


class Finding(FrozenModel):
    """One label found in a text, with its quotation."""

    label: str
    """A raw category, a behaviour, or a pattern itself, as the monitor names it."""
    severity: int = Field(ge=1, le=3)
    """1 = present without consequence, 2 = shapes part of the text, 3 = the result rests on it."""
    quote: str
    """The words, exactly as in the text."""
    start: int
    """Index of the quotation's first character in the part."""
    end: int
    """Index after its last character."""
    position: float = Field(ge=0, le=1)
    """`start` as a fraction of the part's length."""

    @classmethod
    def at(cls, label: str, severity: int, text: str, start: int, end: int) -> Self:
        """Make the finding that quotes `text[start:end]`, where `text` is the whole part."""
        position = start / len(text) if text else 0.0
        place: Any = {"quote": text[start:end], "start": start, "end": end, "position": position}
        return cls(label=label, severity=severity, **place)


class PartLabels(FrozenModel):
    """What one monitor found in one part of one reply, without any text."""

    part: Part
    monitor: MonitorId
    patterns: tuple[Pattern, ...] = ()
    marks: tuple[str, ...] = ()
    """Of `MARKS`; computed from the form of the reply, the same for every monitor."""
    unsupported: tuple[str, ...] = ()
    """Labels that the grader gave without a quotation from the part; they count as not found."""
    reason: UnreadReason | None = None
    """Why the part was not read, and the labels mean nothing; None when it was, with or without findings."""

    @property
    def read(self) -> bool:
        """Whether the part was read."""
        return self.reason is None


class PatternReading(PartLabels):
    """One monitor's reading of one part of one reply."""

    findings: tuple[Finding, ...] = ()
    """Findings with a quotation from the part; several may share a label."""
    explanation: str | None = None
    replies: tuple[str, ...] = ()
    """The grader's raw replies."""

    @property
    def severities(self) -> dict[str, int]:
        """Highest severity of each label found."""
        ascending = sorted(self.findings, key=lambda finding: finding.severity)
        return {finding.label: finding.severity for finding in ascending}


class MonitorResult(NamedTuple):
    """What a monitor returns for one text: findings, or the reason why it could not read it."""

    findings: Sequence[Finding] = ()
    unsupported: Sequence[str] = ()
    reason: UnreadReason | None = None
    explanation: str | None = None
    replies: Sequence[str] = ()


@runtime_checkable
class Monitor(Protocol):
    """Reads one part of a reply; implement this for a monitor of your own."""

    @property
    def needs_grader(self) -> bool:
        """Whether the monitor asks a grader model."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that the monitor can give."""

    @property
    def grouping(self) -> Mapping[str, Pattern]:
        """The pattern of each label that belongs to one."""

    def identity(self, grader: Grader | None) -> MonitorId:
        """Identify the instrument, with the grader that it asks."""

    async def find(self, case: Case, part: Part, grader: Grader | None) -> MonitorResult:
        """Read one part of a reply. Failures of the grader are a `reason`, not an exception."""


async def read_patterns(
    monitor: Monitor,
    case: Case,
    part: Part = "trace",
    grader: Grader | None = None,
    generation: Generation | None = None,
) -> PatternReading:
    """Let a monitor read one part of a reply.

    Args:
        monitor: The monitor.
        case: The prompt and the reply.
        part: The part to read.
        grader: The model to ask; offline monitors ignore it.
        generation: The generation that the case was made of, where available: it tells hidden and
            summarised traces, engine errors and loops.

    Raises:
        RimError: The monitor needs a grader and there is none.
    """
    identity = monitor.identity(grader)
    if reason := _unread_reason(case, part, generation):
        return PatternReading(part=part, monitor=identity, reason=reason)
    result = await monitor.find(case, part, grader)
    return PatternReading(
        part=part,
        monitor=identity,
        patterns=patterns_of((one.label for one in result.findings), monitor.grouping),
        marks=_marks(case, part, generation) if result.reason is None else (),
        **result._asdict(),
    )


def part_text(case: Case, part: Part) -> str:
    """Return the text of one part of a reply."""
    return (case.trace or "") if part == "trace" else case.answer


def patterns_of(labels: Iterable[str], grouping: Mapping[str, Pattern]) -> tuple[Pattern, ...]:
    """Map labels to their patterns: each once, in the order of `PATTERNS`."""
    present = {grouping[label] for label in labels if label in grouping}
    return tuple(pattern for pattern in PATTERNS if pattern in present)


_UNREADABLE: Final[Mapping[str, UnreadReason]] = {
    "hidden": "trace_hidden",
    "summary": "trace_summarised",  # it may leave out what a monitor looks for
}


def _unread_reason(case: Case, part: Part, generation: Generation | None) -> UnreadReason | None:
    """Why a part cannot be read; a trace cut by the token limit or a filter is read as it is."""
    if generation is not None:
        reason: UnreadReason | None
        reason = unscored_reason(generation, "answer" if part == "answer" else "reasoning")
        if part == "trace" and reason in ("no_trace", "provider_declined"):
            reason = _UNREADABLE.get(generation.visibility)
        if reason is not None:
            return reason
    if part_text(case, part).strip():
        return None
    return "no_trace" if part == "trace" else "empty_answer"


def _marks(case: Case, part: Part, generation: Generation | None) -> tuple[str, ...]:
    refused = bool(case.answer.strip()) and classify_refusal(case.answer).label == "full_refusal"
    looped = (generation is not None and generation.looping) or is_looping(part_text(case, part))
    present = (bool((case.trace or "").strip()) and refused, looped)
    return tuple(compress(MARKS, present))
