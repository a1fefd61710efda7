"""Pattern rows (labels of one reading, without any text), their join with observations, and its verdicts."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict

from rim_eval.errors import RimError
from rim_eval.observations import Observation, Table, to_rows
from rim_eval.patterns.monitor import (
    MonitorId,
    Part,
    Pattern,
    PatternReading,
    UnreadReason,
)
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

ReplyKey = tuple[str, str, str, Mode, int]
"""Model, data set, prompt id, mode and epoch: what pattern rows and observations are joined by."""

ANY_PATTERN: Final = "any_pattern"
"""Label of a row that shows at least one of `PATTERNS`."""

_SCORE_KEY: Final = "patterns"
"""Where the Inspect scorer and sample files keep their rows."""

Row = TypeVar("Row", bound="PatternRow | Observation")
Judged = TypeVar("Judged", bound=Observation)
Key = TypeVar("Key", bound=Hashable)


class PatternRow(BaseModel):
    """Labels that one monitor found in one part of one reply."""

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
    """Highest severity, 1 to 3, of each label found; a missing label was not found."""
    positions: dict[str, float] = {}
    """First place of each label, as a fraction of the part's length."""
    patterns: tuple[Pattern, ...] = ()
    marks: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    reason: UnreadReason | None = None
    """Why the part was not read; the fields above mean nothing then."""

    @property
    def read(self) -> bool:
        """Whether the part was read."""
        return self.reason is None

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

    @classmethod
    def of(cls, reply: Mapping[str, Any], reading: PatternReading) -> "PatternRow":
        """Make the row of a reading.

        Args:
            reply: The columns that identify the reply: `model` to `epoch`.
            reading: What the monitor returned.
        """
        positions: dict[str, float] = {}
        for finding in reading.findings:
            positions.setdefault(finding.label, round(finding.position, 4))
        shared = {"part", "monitor", "severities", "patterns", "marks", "unsupported", "reason"}
        labels = {name: getattr(reading, name) for name in shared}
        return cls.model_validate({**reply, **labels, "positions": positions})


def reply_of(row: PatternRow | Observation) -> ReplyKey:
    """Return the reply that a row is about."""
    return (row.model, row.dataset, row.prompt_id, row.mode, row.epoch)


def rows_of_metadata(metadata: Mapping[str, Any] | None) -> Iterator[PatternRow]:
    """Yield the pattern rows in one score's metadata, or in one line of a sample file."""
    for row in (metadata or {}).get(_SCORE_KEY, ()):
        yield PatternRow.model_validate(row)


def pattern_rows(log: "EvalLog") -> list[PatternRow]:
    """Return all pattern rows of an Inspect log; of readings by the same monitor, the newest.

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


def attach(observations: Iterable[Observation], rows: Iterable[PatternRow]) -> list[Observation]:
    """Fill the `patterns` column of observations with what one monitor found in the traces.

    A reply whose trace was not read keeps None, which is not the same as no pattern.

    Args:
        observations: Observations of the same runs.
        rows: Rows of one monitor; rows about answers are ignored.

    Raises:
        RimError: Two rows are about one trace.
    """
    traces = (row for row in rows if row.part == "trace" and row.read)
    by_reply = index_unique(traces, reply_of, "readings")
    return [
        observation
        if (row := by_reply.get(reply_of(observation))) is None
        else observation.model_copy(update={"patterns": tuple(row.patterns)})
        for observation in observations
    ]


def verdicts_of_one_judge(table: Table, name: str | None) -> list[Observation]:
    """Return one verdict a reply: those of each set's one judge, and those without a judge.

    The `patterns` column is left empty, for copies of a log may hold those of several monitors.

    Args:
        table: Observations by any judges.
        name: As `of_one_judge` takes it.

    Raises:
        RimError: It is not clear which judge counts.
    """
    rows = of_one_judge(to_rows(table.frame), name)
    return list(dict.fromkeys(row.model_copy(update={"patterns": None}) for row in rows))


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
    if name is not None and not any(_is_judge(judge, name) for judge in present):
        raise RimError(
            f"{name!r} has not judged these logs; those that have: {'; '.join(present) or 'none'}."
        )
    chosen = {dataset: _choose(labels, name) for dataset, labels in judges.items()}
    return [row for row in rows if row.judge is None or _judge_label(row) == chosen[row.dataset]]


def _choose(judges: set[str], name: str | None) -> str:
    named = {judge for judge in judges if name is not None and _is_judge(judge, name)} or judges
    if len(named) > 1:
        raise RimError(
            f"Several judges gave verdicts: {'; '.join(sorted(named))}. Name one with --judge."
        )
    return min(named)


def _judge_label(row: Observation) -> str:
    """A judge with what tells it apart: the model that it asks, and what it sees."""
    grader = f" asking {row.judge_model}" if row.judge_model else ""
    return f"{row.judge}{grader}, seeing {row.judge_sees or 'answer'}"


def _is_judge(label: str, name: str) -> bool:
    """Whether a name means a judge; another judge's name may begin with the same letters."""
    return label.startswith(name) and label[len(name) :][:1] in ("", "@", ",", " ")


def index_unique(rows: Iterable[Row], key: Callable[[Row], Key], what: str) -> dict[Key, Row]:
    """Index rows by a key; a reply that is counted twice would make every figure over it wrong.

    Args:
        rows: The rows.
        key: The key, of which every row must have another.
        what: What a row is, in the plural, for the message.

    Raises:
        RimError: Two rows share a key: a run was given twice, or two runs under one model's name.
    """
    indexed: dict[Key, Row] = {}
    repeated = [row for row in rows if indexed.setdefault(key(row), row) is not row]
    if not repeated:
        return indexed
    ids = sorted({row.prompt_id for row in repeated})
    sets = sorted({f"{row.dataset} ({row.model})" for row in repeated})
    raise RimError(
        f"{len(repeated)} {what} of {', '.join(sets)} occur more than once: {', '.join(ids[:3])}"
        f"{', ...' if len(ids) > 3 else ''}. Give each run once, the verdicts of one judge, and two "
        "models under two names."
    )


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
