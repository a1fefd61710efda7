"""Monitors: what reads a trace or an answer for patterns, and how a reading is put together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from rim_eval.errors import RimError
from rim_eval.generation import Generation, is_looping
from rim_eval.judging import Case, Grader, classify_refusal
from rim_eval.patterns._reading import (
    Finding,
    MonitorId,
    Part,
    PatternReading,
    UnreadReason,
    unread_reason,
)
from rim_eval.patterns._rubric import Pattern, load_rubric, patterns_of

__all__ = ["MARKS", "MONITORS", "Found", "Monitor", "finding", "load_monitor", "read_patterns"]

MONITORS: Final = ("rubric", "cues", "exact")
"""`rubric` asks a grader, `cues` is the offline baseline, `exact` reads the model organism only."""

MARKS: Final = ("think_then_refuse", "looping")


class Found(NamedTuple):
    """What a monitor found in one text, or why it could not read it."""

    findings: Sequence[Finding] = ()
    unsupported: Sequence[str] = ()
    reason: UnreadReason | None = None
    explanation: str | None = None
    replies: Sequence[str] = ()


class Monitor(Protocol):
    """Anything that reads one part of a reply."""

    @property
    def needs_grader(self) -> bool:
        """Whether a grader model is asked."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Every label that it can give."""

    @property
    def grouping(self) -> Mapping[str, Pattern]:
        """Pattern of each label that is in one."""

    def identity(self, grader: Grader | None) -> MonitorId:
        """Which instrument this is."""

    async def find(self, case: Case, part: Part, grader: Grader | None) -> Found:
        """Read one part of a reply; whatever a grader does is a finding or a reason."""


def load_monitor(name: str) -> Monitor:
    """A monitor by name, or one with a rubric file of your own.

    Args:
        name: One of `MONITORS`, or the path of a rubric (`.yaml`, `.yml`).

    Raises:
        RimError: No such monitor, or the file is wrong.
    """
    from rim_eval.patterns._cues import CueMonitor
    from rim_eval.patterns._exact import ExactMonitor
    from rim_eval.patterns._grading import RubricMonitor

    if name.endswith((".yaml", ".yml")):
        return RubricMonitor(load_rubric(Path(name).expanduser()))
    match name:
        case "rubric":
            return RubricMonitor(load_rubric())
        case "cues":
            return CueMonitor()
        case "exact":
            return ExactMonitor()
    raise RimError(
        f"There is no monitor {name!r}. Monitors: {', '.join(MONITORS)}, or the path of a rubric "
        "file (.yaml)."
    )


def finding(label: str, severity: int, text: str, start: int, end: int) -> Finding:
    """A finding at a place in a text."""
    return Finding(
        label=label,
        severity=severity,
        quote=text[start:end],
        start=start,
        end=end,
        position=start / len(text) if text else 0.0,
    )


async def read_patterns(
    monitor: Monitor,
    case: Case,
    part: Part = "trace",
    grader: Grader | None = None,
    generation: Generation | None = None,
) -> PatternReading:
    """Read one part of a reply.

    Args:
        monitor: What reads.
        case: The prompt and the reply.
        part: Which part.
        grader: The model to ask; not used by offline monitors.
        generation: Where the reply comes from, if that is known: tells hidden and summarised
            traces, errors and loops.

    Raises:
        RimError: The monitor asks a grader and there is none.
    """
    identity = monitor.identity(grader)
    reason = unread_reason(generation, part) if generation else _nothing(case, part)
    if reason is not None:
        return PatternReading(part=part, monitor=identity, reason=reason)
    found = await monitor.find(case, part, grader)
    return PatternReading(
        part=part,
        monitor=identity,
        findings=tuple(found.findings),
        patterns=patterns_of([one.label for one in found.findings], monitor.grouping),
        marks=_marks(case, part, generation) if found.reason is None else (),
        unsupported=tuple(found.unsupported),
        reason=found.reason,
        explanation=found.explanation,
        replies=tuple(found.replies),
    )


def part_text(case: Case, part: Part) -> str:
    """The text of one part."""
    return (case.trace or "") if part == "trace" else case.answer


def _nothing(case: Case, part: Part) -> UnreadReason | None:
    if part_text(case, part).strip():
        return None
    return "no_trace" if part == "trace" else "empty_answer"


def _marks(case: Case, part: Part, generation: Generation | None) -> tuple[str, ...]:
    refused = (
        classify_refusal(case.answer).label == "full_refusal" if case.answer.strip() else False
    )
    thought = bool(case.trace and case.trace.strip())
    looped = (generation is not None and generation.looping) or is_looping(part_text(case, part))
    return tuple(
        mark for mark, there in zip(MARKS, (thought and refused, looped), strict=True) if there
    )
