"""What a monitor gives back: findings with their evidence, or the reason why nothing was read."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.generation import Generation
from rim_eval.patterns._rubric import Pattern

__all__ = [
    "PARTS",
    "UNREAD_REASONS",
    "Finding",
    "MonitorId",
    "Part",
    "PatternReading",
    "UnreadReason",
    "unread_reason",
]

Part = Literal["trace", "answer"]
"""Which part of a reply a monitor reads."""

PARTS: tuple[Part, ...] = get_args(Part)

UnreadReason = Literal[
    "no_trace",
    "trace_hidden",
    "trace_summarised",
    "empty_answer",
    "engine_error",
    "content_filter",
    "judge_refused",
    "judge_unreadable",
    "judge_truncated",
    "judge_failed",
]
"""Why a part was not read. None of them counts as a trace without patterns."""

UNREAD_REASONS: tuple[UnreadReason, ...] = get_args(UnreadReason)

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class MonitorId(BaseModel):
    """Which instrument read: enough to do it again."""

    model_config = _FROZEN

    name: str
    version: str
    sha256: str
    """SHA-256 of the file that says what it looks for, in hexadecimal."""
    grader: str | None = None
    """The grader model; None where no model is asked."""


class Finding(BaseModel):
    """One thing found in a text, with the words that show it."""

    model_config = _FROZEN

    label: str
    """A raw category, a behaviour, or a pattern itself, as the monitor names it."""
    severity: int = Field(ge=1, le=3)
    """1 = there but without consequence, 2 = shapes part of it, 3 = the result rests on it."""
    quote: str
    """The words, as they stand in the text."""
    start: int
    """First character of the quotation in the part."""
    end: int
    """One past its last character."""
    position: float = Field(ge=0, le=1)
    """Where it begins, as a fraction of the part's length: 0 = at the start."""


class PatternReading(BaseModel):
    """One monitor on one part of one reply."""

    model_config = _FROZEN

    part: Part
    monitor: MonitorId
    findings: tuple[Finding, ...] = ()
    """Each with words that occur in the part; several may have one label."""
    patterns: tuple[Pattern, ...] = ()
    marks: tuple[str, ...] = ()
    """`think_then_refuse` and `looping`: read off the form of the reply, alike by every monitor."""
    unsupported: tuple[str, ...] = ()
    """Labels that the grader gave without words that occur in the part; they count as not found."""
    reason: UnreadReason | None = None
    """Why nothing was read; None when the part was read, whatever was found."""
    explanation: str | None = None
    replies: tuple[str, ...] = ()
    """The grader's raw replies."""

    @property
    def read(self) -> bool:
        """Whether the part was read."""
        return self.reason is None

    @property
    def severities(self) -> dict[str, int]:
        """Highest severity of each label that was found."""
        found: dict[str, int] = {}
        for finding in self.findings:
            found[finding.label] = max(finding.severity, found.get(finding.label, 0))
        return found


def unread_reason(generation: Generation, part: Part) -> UnreadReason | None:
    """Why a part of a generation must not be read; None when it can be.

    A provider's summary is not the trace: what it leaves out cannot be found absent. A trace that
    was cut off is read as far as it goes.
    """
    if generation.error is not None or generation.stop_reason == "error":
        return "engine_error"
    if part == "trace":
        return _unread_trace(generation)
    if generation.stop_reason == "content_filter":
        return "content_filter"
    return None if generation.answer.strip() else "empty_answer"


def _unread_trace(generation: Generation) -> UnreadReason | None:
    match generation.visibility:
        case "hidden":
            return "trace_hidden"
        case "summary":
            return "trace_summarised"
        case _:
            return None if generation.trace and generation.trace.strip() else "no_trace"
