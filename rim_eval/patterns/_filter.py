"""Filtering training data: rows whose trace shows a pattern, or never ends, are set apart with the reason.

Three files: `kept.jsonl`, `dropped.jsonl`, and `undecided.jsonl` for rows that could not be read;
each line is the row as it was, with what was found beside it. A run that was stopped goes on where
it was: rows are known by their number, and a half-written last line is taken back.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.errors import RimError
from rim_eval.judging import Case, Grader
from rim_eval.patterns._monitor import Monitor, read_patterns
from rim_eval.patterns._reading import MonitorId, PatternReading
from rim_eval.thinking import split_trace

__all__ = [
    "OUTCOMES",
    "Columns",
    "FilterSettings",
    "drop_reasons",
    "filter_rows",
    "training_rows",
]

OUTCOMES: Final = ("kept", "dropped", "undecided")

UNCLOSED: Final = "unclosed_trace"
"""Why a row is dropped whatever it says: trained on it, a model learns to think without an answer."""

KEY: Final = "rim_eval"
"""Where each written row holds what was found."""

_AT_ONCE: Final = 32
_FROZEN = ConfigDict(frozen=True, extra="forbid")

Row = Mapping[str, Any]


class Columns(BaseModel):
    """Where a row holds its prompt, trace and answer."""

    model_config = _FROZEN

    prompt: str = "prompt"
    trace: str | None = None
    """Column of the trace alone; without it, the trace is split off the response."""
    response: str = "response"
    """Column of the response: the answer, with the trace in its marks unless `trace` is given."""


class FilterSettings(BaseModel):
    """What decides about a row; a stopped run goes on only under the same ones."""

    model_config = _FROZEN

    source: str
    columns: Columns
    monitor: MonitorId
    drop: tuple[str, ...]
    """A row is dropped when one of these is found in it: patterns, categories, behaviours, marks."""
    least_severity: int = Field(default=1, ge=1, le=3)
    """Found at this severity or above; patterns count through their categories."""


class _Decision(NamedTuple):
    outcome: str
    about: dict[str, Any]


def training_rows(source: str, split: str = "train", revision: str | None = None) -> Iterator[Row]:
    """Rows of a JSONL file, or of a data set on the hub.

    Args:
        source: Path of a `.jsonl` file, or `hf:owner/name` (streamed; needs `rim-eval[data]`).
        split: Split of a hub set.
        revision: Revision of a hub set; name one for a run that can be repeated.

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
                yield _row(path, number, line)


def _row(path: Path, number: int, line: bytes) -> Row:
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
    progress: Callable[[int], None] = lambda done: None,  # noqa: ARG005
) -> Counter[str]:
    """Read every row that was not read before, and write it to the file of its outcome.

    Args:
        rows: The rows, in an order that is the same each time.
        settings: What decides.
        monitor: What reads.
        folder: Where the three files and `filter.json` are.
        grader: The model to ask.
        progress: Called with how many rows were just done.

    Returns:
        How many rows have each outcome, those of earlier runs included.

    Raises:
        RimError: The folder holds a run with other settings, other rows came in the place of those
            that were read, or a row lacks a column.
    """
    _same_settings(folder, settings)
    done = _done(folder)
    counts: Counter[str] = Counter(outcome for outcome, _ in done.values())
    todo = _todo(rows, done, folder)
    while batch := list(islice(todo, _AT_ONCE)):
        decided = await asyncio.gather(
            *(_decide(number, row, settings, monitor, grader) for number, row in batch)
        )
        for (_, row), decision in zip(batch, decided, strict=True):
            _append(folder / f"{decision.outcome}.jsonl", {**row, KEY: decision.about})
            counts[decision.outcome] += 1
        progress(len(batch))
    return counts


def drop_reasons(folder: Path) -> Counter[str]:
    """How many of the rows dropped into a folder have each reason; a row may have several."""
    rows = map(json.loads, _whole_lines(folder / "dropped.jsonl"))
    return Counter(reason for row in rows for reason in row[KEY]["reasons"])


def _todo(
    rows: Iterable[Row], done: Mapping[int, tuple[str, str]], folder: Path
) -> Iterator[tuple[int, Row]]:
    left = dict(done)
    for number, row in enumerate(rows):
        if number not in done:
            yield number, row
        elif left.pop(number)[1] != _digest(row):
            raise RimError(
                f"Row {number} is another one than the row {number} that {folder} holds: the data changed "
                "since that run. Choose another --out folder."
            )
    if left:
        raise RimError(
            f"{folder} holds {len(left)} rows that the data ends before, from row {min(left)} on: the data "
            "changed since that run. Choose another --out folder."
        )


async def _decide(
    number: int, row: Row, settings: FilterSettings, monitor: Monitor, grader: Grader | None
) -> _Decision:
    case, closed = _case(number, row, settings.columns)
    about: dict[str, Any] = {"row": number, "sha256": _digest(row)}
    if closed is False:
        return _Decision("dropped", about | {"reasons": [UNCLOSED], "quotes": {}})
    reading = await read_patterns(monitor, case, "trace", grader)
    reasons = _reasons(reading, settings, monitor)
    if not reading.read:
        return _Decision("undecided", about | {"reason": reading.reason})
    about |= {
        "found": reading.severities,
        "patterns": list(reading.patterns),
        "marks": list(reading.marks),
    }
    if not reasons:
        return _Decision("kept", about)
    quotes = {one.label: one.quote for one in reversed(reading.findings)}
    return _Decision("dropped", about | {"reasons": reasons, "quotes": quotes})


def _reasons(reading: PatternReading, settings: FilterSettings, monitor: Monitor) -> list[str]:
    severe = {
        label for label, found in reading.severities.items() if found >= settings.least_severity
    }
    patterns = {monitor.grouping[label] for label in severe if label in monitor.grouping}
    return sorted((severe | patterns | set(reading.marks)) & set(settings.drop))


def _case(number: int, row: Row, columns: Columns) -> tuple[Case, bool | None]:
    """A row as a monitor reads it, and whether its trace was closed; None where marks do not say."""
    wanted = [columns.prompt, columns.response] + ([columns.trace] if columns.trace else [])
    missing = [name for name in wanted if not isinstance(row.get(name), str)]
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


def _same_settings(folder: Path, settings: FilterSettings) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "filter.json"
    ours = settings.model_dump_json(indent=1)
    if not path.exists():
        path.write_text(ours + "\n", encoding="utf-8")
    elif json.loads(path.read_text(encoding="utf-8")) != json.loads(ours):
        raise RimError(
            f"{folder} holds a run with other settings ({path.name} says which). Use the same ones, or "
            "choose another --out folder."
        )


def _done(folder: Path) -> dict[int, tuple[str, str]]:
    """Number of each row that was written, with its outcome and its digest."""
    found: dict[int, tuple[str, str]] = {}
    for outcome in OUTCOMES:
        for line in _whole_lines(folder / f"{outcome}.jsonl"):
            about = json.loads(line)[KEY]
            found[about["row"]] = (outcome, about["sha256"])
    return found


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file; what a stopped run left of its last one is taken off the file."""
    if not path.exists():
        return
    whole = 0
    with path.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(whole)
                return
            whole += len(line)
            yield line
