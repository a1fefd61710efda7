"""Rows of pattern readings and of injection arms (without any text), and their join with observations."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from pydantic import Field

from rim_eval.errors import RimError
from rim_eval.observations import PATTERN_COLUMNS, ModelName, Observation
from rim_eval.paths import without_folders
from rim_eval.patterns.monitor import ANY_PATTERN, MonitorId, Part, PartLabels, PatternReading
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

ReplyKey = tuple[str, str, str, Mode, int]
"""Model, data set, prompt id, mode and epoch: what pattern rows and observations are joined by."""

_REPLY_COLUMNS: Final = (
    "model",
    "dataset",
    "prompt_id",
    "kind",
    "category",
    "mode",
    "dose",
    "epoch",
)

LogRow = TypeVar("LogRow", "PatternRow", "InjectionRow")
Row = TypeVar("Row", bound="PatternRow | Observation")
Judged = TypeVar("Judged", bound=Observation)
Key = TypeVar("Key", bound=Hashable)


class PatternRow(PartLabels):
    """Labels that one monitor found in one part of one reply."""

    metadata_key: ClassVar = "patterns"
    """Where a score's metadata, or a line of a sample file, holds such rows."""

    model: ModelName
    dataset: str
    prompt_id: str
    kind: PromptKind
    category: str | None = None
    mode: Mode
    dose: str | None = None
    """Amount of thinking, in a run of several."""
    epoch: int = 1
    severities: dict[str, int] = Field(default_factory=dict)
    """Highest severity, 1 to 3, of each label found; a missing label was not found."""
    positions: dict[str, float] = Field(default_factory=dict)
    """First place of each label, as a fraction of the part's length."""

    @property
    def labels(self) -> frozenset[str]:
        """Every label, pattern and mark found."""
        return frozenset((*self.severities, *self.patterns, *self.marks))

    def has(self, label: str) -> bool:
        """Whether a label was found; `ANY_PATTERN` stands for any of the patterns."""
        return bool(self.patterns) if label == ANY_PATTERN else label in self.labels

    @property
    def reading(self) -> tuple[ReplyKey, Part, MonitorId]:
        """The reading: which part of which reply, by which monitor."""
        return (reply_of(self), self.part, self.monitor)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns of the reply's observation that a trace fills; all None where it was not read."""
        monitor = self.monitor
        grader = monitor.grader and without_folders(monitor.grader)
        values = (self.patterns, f"{monitor.name}@{monitor.version}", grader)
        return dict(zip(PATTERN_COLUMNS, values if self.read else (None,) * 3, strict=True))

    @classmethod
    def of(cls, reply: Mapping[str, Any], reading: PatternReading) -> "PatternRow":
        """Make the row of a reading.

        Args:
            reply: The columns that identify the reply (`model` to `epoch`); others are ignored.
            reading: What the monitor returned.
        """
        columns = {name: reply[name] for name in _REPLY_COLUMNS if name in reply}
        labels = reading.model_dump(include=set(PartLabels.model_fields))
        positions = {one.label: round(one.position, 4) for one in reversed(reading.findings)}
        labels |= {"severities": reading.severities, "positions": positions}
        return cls.model_validate(columns | labels)


class InjectionRow(Observation):
    """An observation of one arm of an injection run."""

    metadata_key: ClassVar = "injection"

    arm: str
    """`uninjected`, or the pattern and the side, such as `heuristic_reliance:target`."""
    statements: str
    """Name and version of the statements file."""
    statements_sha256: str

    @property
    def reading(self) -> Self:
        """The row itself: several judges may have judged one reply."""
        return self


def reply_of(row: PatternRow | Observation) -> ReplyKey:
    """Return the reply that a row is about; each arm of each statements file has its own."""
    dataset = row.dataset + (f" (dose {row.dose})" if row.dose else "")
    if isinstance(row, InjectionRow):
        dataset += f" ({row.statements}, {row.statements_sha256[:8]}, {row.arm})"
    return (row.model, dataset, row.prompt_id, row.mode, row.epoch)


def rows_of_metadata(
    metadata: Iterable[Mapping[str, Any] | None], row_type: type[LogRow]
) -> list[LogRow]:
    """Return the rows of one kind in the metadata of scores, or in the lines of a sample file.

    Of several readings of one part by one monitor, the newest counts.
    """
    stored = (row for one in metadata for row in (one or {}).get(row_type.metadata_key, ()))
    return list({row.reading: row for row in map(row_type.model_validate, stored)}.values())


def rows_of_log(log: "EvalLog", row_type: type[LogRow]) -> list[LogRow]:
    """Return all rows of one kind in an Inspect log with samples; of one reading, the newest."""
    scores = (score for one in log.samples or [] for score in (one.scores or {}).values())
    return rows_of_metadata((score.metadata for score in scores), row_type)


def attach(observations: Iterable[Observation], rows: Iterable[PatternRow]) -> list[Observation]:
    """Fill the `patterns` columns of observations with what one monitor found in the traces.

    A reply whose trace was not read keeps None, which is not the same as no pattern.

    Args:
        observations: Observations of the same runs.
        rows: Rows of one monitor; rows about answers are ignored.

    Raises:
        RimError: Two rows are about one trace.
    """
    traces = (row for row in rows if row.part == "trace" and row.read)
    columns = {k: row.columns for k, row in index_unique(traces, reply_of, "readings").items()}
    return [row.model_copy(update=columns.get(reply_of(row), {})) for row in observations]


def note_findings(observation: dict[str, Any], row: PatternRow) -> None:
    """Write what a monitor found in the trace into the stored observation of its reply.

    The newest findings stand there, but those of an offline monitor do not replace a grader's.

    Args:
        observation: The observation, as a log or a sample file holds it.
        row: The row of the same reply; about an answer it says nothing.
    """
    if row.part == "trace" and (row.monitor.grader or not observation.get("pattern_grader")):
        observation |= row.columns


def of_one_judge(rows: Sequence[Judged], name: str | None) -> list[Judged]:
    """Select the rows of each set's one judge, and those without a judge (solutions are checked).

    Args:
        rows: Rows by any judges.
        name: The judge that counts where a set has several: its name, name@version, or as messages
            list it.

    Raises:
        RimError: A set has several judges and none of them is named, or the named one is in no set.
    """
    judges: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.judge is not None:
            judges[row.dataset].add(_judge_label(row))
    present = sorted(set().union(*judges.values()))
    # Another judge's name may begin with the same letters.
    start = "" if name is None else rf"{re.escape(name)}([@, ]|$)"
    named = {label for label in present if re.match(start, label)}
    if name is not None and not named:
        raise RimError(
            f"{name!r} has not judged these logs; those that have: {'; '.join(present) or 'none'}."
        )
    chosen = {dataset: labels & named or labels for dataset, labels in judges.items()}
    for labels in chosen.values():
        if len(labels) > 1:
            raise RimError(
                f"Several judges gave verdicts: {'; '.join(sorted(labels))}. Name one with --judge."
            )
    return [row for row in rows if row.judge is None or _judge_label(row) in chosen[row.dataset]]


def _judge_label(row: Observation) -> str:
    """A judge with what tells it apart: the model that it asks, and what it sees."""
    grader = f" asking {row.judge_model}" if row.judge_model else ""
    return f"{row.judge}{grader}, seeing {row.judge_sees or 'answer'}"


def index_unique(rows: Iterable[Row], key: Callable[[Row], Key], what: str) -> dict[Key, Row]:
    """Index rows by a key; a reply that is counted twice would make every figure over it wrong.

    Args:
        rows: The rows.
        key: A row's key.
        what: What a row is, in the plural, for the message.

    Raises:
        RimError: Two rows share a key: a run was given twice, or two runs under one model's name.
    """
    indexed: dict[Key, Row] = {}
    if repeated := [row for row in rows if indexed.setdefault(key(row), row) is not row]:
        ids = sorted({row.prompt_id for row in repeated})
        sets = sorted({f"{row.dataset} ({row.model})" for row in repeated})
        raise RimError(
            f"{len(repeated)} {what} of {', '.join(sets)} occur more than once: "
            f"{', '.join(ids[:3])}. Give each run once, the verdicts of one judge, and two models under "
            "two names."
        )
    return indexed


def verdicts_by_prompt(
    rows: Iterable[Row], verdict: Callable[[Row], bool | None]
) -> dict[str, list[float | None]]:
    """Group verdicts by prompt id, in the order of their epochs, as `rim_eval.statistics` takes them.

    Args:
        rows: Rows of one model, data set and mode.
        verdict: The verdict of a row; None where it is unscored.
    """
    verdicts: dict[str, list[float | None]] = {}
    for row in sorted(rows, key=lambda row: row.epoch):
        value = verdict(row)
        verdicts.setdefault(row.prompt_id, []).append(None if value is None else float(value))
    return verdicts
