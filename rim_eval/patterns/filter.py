"""Filtering of training data: rows whose trace shows a pattern, or never ends, are set apart.

Three files: `kept.jsonl`, `dropped.jsonl` with the reasons, and `undecided.jsonl` for rows that could
not be read. Each line is the original row with one more column, `rim_eval`. A stopped run resumes:
rows are identified by their number, and a half-written last line is removed.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.errors import RimError
from rim_eval.judging import Case, Grader
from rim_eval.patterns.monitor import Monitor, MonitorId, PatternReading, read_patterns
from rim_eval.thinking import split_trace

OUTCOMES: Final = ("kept", "dropped", "undecided")

UNCLOSED: Final = "unclosed_trace"
"""Reason to drop a row whatever it says: trained on it, a model learns to think without an answer."""

COLUMN: Final = "rim_eval"
"""Column in which each written row holds its decision."""

_CONCURRENT: Final = 32
_FROZEN: Final = ConfigDict(frozen=True, extra="forbid")

Row = Mapping[str, Any]


class Columns(BaseModel):
    """Columns that hold a row's prompt, trace and answer."""

    model_config = _FROZEN

    prompt: str = "prompt"
    trace: str | None = None
    """Column of the trace alone; None splits the trace off the response."""
    response: str = "response"
    """Column of the answer, with the trace in its markers unless `trace` is given."""


class FilterSettings(BaseModel):
    """What decides about a row; a stopped run resumes only under the same settings."""

    model_config = _FROZEN

    source: str
    columns: Columns
    monitor: MonitorId
    drop: tuple[str, ...]
    """Drop a row that shows one of these: patterns, categories, behaviours or marks."""
    least_severity: int = Field(default=1, ge=1, le=3)
    """Ignore findings below this severity; patterns count through their categories."""


class _Decision(NamedTuple):
    outcome: str
    record: dict[str, Any]


def training_rows(source: str, split: str = "train", revision: str | None = None) -> Iterator[Row]:
    """Iterate over the rows of a JSONL file, or of a data set on the hub.

    Args:
        source: Path of a `.jsonl` file, or `hf:owner/name` (streamed; needs `rim-eval[data]`).
        split: Split of a hub set.
        revision: Revision of a hub set; name one to make the run repeatable.

    Raises:
        RimError: There is no such file, or a line is not a JSON object.
    """
    if source.startswith("hf:"):
        return _hub_rows(source.removeprefix("hf:"), split, revision)
    return _file_rows(Path(source).expanduser())


def _file_rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        raise RimError(f"{path}: no such file. Name a .jsonl file, or a hub set as hf:owner/name.")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _parse_row(path, number, line)


def _parse_row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise RimError(f"{path}, line {number}: not JSON ({error}).") from None
    if not isinstance(row, dict):
        raise RimError(f"{path}, line {number}: a row is a JSON object, not {type(row).__name__}.")
    return row


def _hub_rows(name: str, split: str, revision: str | None) -> Iterator[Row]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise RimError("Reading a hub set needs `pip install 'rim-eval[data]'`.") from None
    try:
        yield from load_dataset(name, split=split, revision=revision, streaming=True)
    except Exception as error:
        raise RimError(f"hf:{name}, split {split}: {type(error).__name__}: {error}.") from error


async def filter_rows(
    rows: Iterable[Row],
    settings: FilterSettings,
    monitor: Monitor,
    folder: Path,
    grader: Grader | None = None,
) -> Counter[str]:
    """Read every row that is not yet in the folder, and append it to the file of its outcome.

    Args:
        rows: The rows, in the same order each time.
        settings: What decides.
        monitor: The monitor.
        folder: Where the three files and `filter.json` are.
        grader: The model to ask.

    Returns:
        The number of rows by outcome, those of earlier runs included.

    Raises:
        RimError: The folder holds a run with other settings, the data changed since that run, or a
            row lacks a column.
    """
    _check_settings(folder, settings)
    done = _written_rows(folder)
    counts: Counter[str] = Counter(outcome for outcome, _ in done.values())
    remaining = _remaining(rows, done, folder)
    while batch := list(islice(remaining, _CONCURRENT)):
        decisions = await asyncio.gather(
            *(_decide(number, row, settings, monitor, grader) for number, row in batch)
        )
        for (_, row), decision in zip(batch, decisions, strict=True):
            _append(folder / f"{decision.outcome}.jsonl", {**row, COLUMN: decision.record})
            counts[decision.outcome] += 1
    return counts


def drop_reasons(folder: Path) -> Counter[str]:
    """Count the reasons of the rows dropped into a folder; a row may have several."""
    rows = map(json.loads, _complete_lines(folder / "dropped.jsonl"))
    return Counter(reason for row in rows for reason in row[COLUMN]["reasons"])


def _remaining(
    rows: Iterable[Row], done: Mapping[int, tuple[str, str]], folder: Path
) -> Iterator[tuple[int, Row]]:
    """Rows that were not read before; those that were must be the same."""
    unmatched = dict(done)
    for number, row in enumerate(rows):
        if number not in done:
            yield number, row
        elif unmatched.pop(number)[1] != _digest(row):
            raise RimError(
                f"Row {number} is another one than the row {number} that {folder} holds: the data changed "
                "since that run. Choose another --out folder."
            )
    if unmatched:
        raise RimError(
            f"{folder} holds {len(unmatched)} rows that the data ends before, from row {min(unmatched)} on: "
            "the data changed since that run. Choose another --out folder."
        )


async def _decide(
    number: int, row: Row, settings: FilterSettings, monitor: Monitor, grader: Grader | None
) -> _Decision:
    case, closed = _case(number, row, settings.columns)
    record: dict[str, Any] = {"row": number, "sha256": _digest(row)}
    if closed is False:
        return _Decision("dropped", record | {"reasons": [UNCLOSED], "quotes": {}})
    reading = await read_patterns(monitor, case, "trace", grader)
    if not reading.read:
        return _Decision("undecided", record | {"reason": reading.reason})
    record |= {
        "found": reading.severities,
        "patterns": list(reading.patterns),
        "marks": list(reading.marks),
    }
    reasons = _reasons(reading, settings, monitor)
    if not reasons:
        return _Decision("kept", record)
    quotes = {finding.label: finding.quote for finding in reversed(reading.findings)}
    return _Decision("dropped", record | {"reasons": reasons, "quotes": quotes})


def _reasons(reading: PatternReading, settings: FilterSettings, monitor: Monitor) -> list[str]:
    severe = {label for label, n in reading.severities.items() if n >= settings.least_severity}
    patterns = {monitor.grouping[label] for label in severe if label in monitor.grouping}
    return sorted((severe | patterns | set(reading.marks)) & set(settings.drop))


def _case(number: int, row: Row, columns: Columns) -> tuple[Case, bool | None]:
    """A row as a case, and whether its trace was closed; None where markers do not tell."""
    needed = [columns.prompt, columns.response] + ([columns.trace] if columns.trace else [])
    missing = [name for name in needed if not isinstance(row.get(name), str)]
    if missing:
        raise RimError(
            f"Row {number} has no text in {', '.join(missing)}; its columns are {', '.join(sorted(row))}. "
            "Name the columns with --prompt-column, --trace-column and --response-column."
        )
    response = row[columns.response]
    split = split_trace(row[columns.trace] + response if columns.trace else response)
    trace, answer = (row[columns.trace], response) if columns.trace else (split.trace, split.answer)
    case = Case(prompt_text=row[columns.prompt], kind="reasoning", trace=trace, answer=answer)
    return case, split.closed


def _digest(row: Row) -> str:
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _append(path: Path, row: Row) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _check_settings(folder: Path, settings: FilterSettings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "filter.json"
    current = settings.model_dump_json(indent=1)
    if not path.exists():
        path.write_text(current + "\n", encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != json.loads(current):
        raise RimError(
            f"{folder} holds a run with other settings ({path.name} says which). Use the same ones, or "
            "choose another --out folder."
        )


def _written_rows(folder: Path) -> dict[int, tuple[str, str]]:
    """Number of each written row, with its outcome and its digest."""
    written: dict[int, tuple[str, str]] = {}
    for outcome in OUTCOMES:
        for line in _complete_lines(folder / f"{outcome}.jsonl"):
            record = json.loads(line)[COLUMN]
            written[record["row"]] = (outcome, record["sha256"])
    return written


def _complete_lines(path: Path) -> Iterator[bytes]:
    """Lines of a file; an incomplete last line, left by a stopped run, is removed from the file."""
    if not path.exists():
        return
    complete = 0
    with path.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(complete)
                return
            complete += len(line)
            yield line
