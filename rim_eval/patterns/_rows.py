"""Pattern rows: what a monitor found in one part of one reply, without a word of the text."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from rim_eval.observations import Observation
from rim_eval.patterns._reading import MonitorId, Part, PatternReading, UnreadReason
from rim_eval.patterns._rubric import Pattern
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

__all__ = ["PatternRow", "Reply", "pattern_rows", "reply_of", "rows_of_metadata"]

Reply = tuple[str, str, str, Mode, int]
"""Which reply a row is about: model, data set, prompt, mode, epoch."""

SCORE_KEY = "patterns"
"""Where the Inspect scorer keeps its rows in a score's metadata."""


class PatternRow(BaseModel):
    """One monitor on one part of one reply; it joins the observation of the same reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset: str
    prompt_id: str
    kind: PromptKind
    category: str | None = None
    mode: Mode
    epoch: int = 1
    part: Part
    monitor: MonitorId
    severities: dict[str, int] = {}
    """Highest severity, 1 to 3, of each label found; a label that is not there was not found."""
    positions: dict[str, float] = {}
    """Where each label is found first, as a fraction of the part's length."""
    patterns: tuple[Pattern, ...] = ()
    marks: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    reason: UnreadReason | None = None
    """Why the part was not read; nothing above means anything then."""

    @property
    def read(self) -> bool:
        """Whether the part was read."""
        return self.reason is None

    @property
    def labels(self) -> frozenset[str]:
        """Everything found: labels, patterns and marks."""
        return frozenset((*self.severities, *self.patterns, *self.marks))

    @property
    def reply(self) -> Reply:
        """Which reply this is about: model, data set, prompt, mode, epoch."""
        return reply_of(self)

    @property
    def reading(self) -> tuple[Reply, Part, MonitorId]:
        """Which reading this is: of which reply and part, by which monitor."""
        return (self.reply, self.part, self.monitor)

    @classmethod
    def of(cls, about: Mapping[str, Any], reading: PatternReading) -> "PatternRow":
        """The row of a reading.

        Args:
            about: The columns that say which reply it is.
            reading: What the monitor gave back.
        """
        positions: dict[str, float] = {}
        for one in reading.findings:
            positions.setdefault(one.label, round(one.position, 4))
        return cls.model_validate(
            {
                **about,
                "part": reading.part,
                "monitor": reading.monitor,
                "severities": reading.severities,
                "positions": positions,
                "patterns": reading.patterns,
                "marks": reading.marks,
                "unsupported": reading.unsupported,
                "reason": reading.reason,
            }
        )


def rows_of_metadata(metadata: Mapping[str, Any] | None) -> Iterator[PatternRow]:
    """The pattern rows in one score's metadata."""
    for row in (metadata or {}).get(SCORE_KEY, ()):
        yield PatternRow.model_validate(row)


def pattern_rows(log: "EvalLog") -> list[PatternRow]:
    """All pattern rows of an Inspect log; of readings by the same monitor, the newest.

    Args:
        log: A log with samples.
    """
    newest = {
        row.reading: row
        for sample in log.samples or []
        for score in (sample.scores or {}).values()
        for row in rows_of_metadata(score.metadata)
    }
    return list(newest.values())


def reply_of(row: PatternRow | Observation) -> Reply:
    """The reply that a row is about; pattern rows and observations of one reply join by it."""
    return (row.model, row.dataset, row.prompt_id, row.mode, row.epoch)
