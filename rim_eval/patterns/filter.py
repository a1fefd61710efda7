"""Filtering of training data: rows whose trace shows a pattern, or lacks one, or never ends, are set apart.

So are rows that lost the gold answer, and rows that hold an item which the model will be evaluated on.
A row has a prompt and a response in columns of their own, or a chat, whose last reply is the response.

Three files: `kept.jsonl`, `dropped.jsonl` with the reasons, and `undecided.jsonl` for rows that could
not be read. Each line is the original row with one more column, `rim_eval`. A stopped run resumes:
rows are identified by their number, and a half-written last line is removed.
"""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from rim_eval.answers import check_answer
from rim_eval.errors import RimError
from rim_eval.files import write_whole
from rim_eval.judging import Case, Grader, counted
from rim_eval.observations import sample_lines
from rim_eval.patterns.held_out import HeldOut
from rim_eval.patterns.monitor import Monitor, MonitorId, patterns_of, read_patterns
from rim_eval.progress import Progress
from rim_eval.thinking import split_trace
from rim_eval.types import FrozenModel

OUTCOMES: Final = ("kept", "dropped", "undecided")

UNCLOSED: Final = "unclosed_trace"
"""Reason to drop a row whatever it says: trained on it, a model learns to think without an answer."""

ANSWER_LOST: Final = "answer_lost"
"""Reason to drop a row whose final answer is not the gold answer."""

HELD_OUT: Final = "held_out_item"
"""Reason to drop a row that holds an item of an evaluation set."""

PATTERN_MISSING: Final = "pattern_missing"
"""Reason to drop a row that was to show a pattern and shows none."""

COLUMN: Final = "rim_eval"
"""Column in which each written row holds its decision."""

_CHANGED: Final = "the data changed since that run. Choose another --out folder."
_CONCURRENT: Final = 32

Row = Mapping[str, Any]


class FilterSettings(FrozenModel):
    """What decides about a row; a stopped run resumes only under the same settings."""

    source: str
    prompt_column: str = "prompt"
    response_column: str = "response"
    """Column of the answer, with the trace in its markers unless there is a `trace_column`."""
    trace_column: str | None = None
    """Column of the trace alone; None splits the trace off the response."""
    messages_column: str | None = None
    """Column of a chat, a list of `role` and `content`: the last reply and the user message before it take
    the place of prompt and response; None where these have columns of their own."""
    gold_column: str | None = None
    """Column of the gold answer, which the row's final answer must be; None where there is none."""
    held_out: tuple[str, ...] = ()
    """Evaluation sets whose items no row may hold."""
    monitor: MonitorId
    drop: tuple[str, ...]
    """Drop a row that shows one of these: patterns, categories, behaviours or marks."""
    require: tuple[str, ...] = ()
    """Drop a row that shows none of these, unless empty. Without `drop` and `require` no monitor reads the row."""
    least_severity: int = Field(default=1, ge=1, le=3)
    """Ignore findings below this severity; patterns count through their categories."""


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
        if find_spec("datasets") is None:
            raise RimError("Reading a hub set needs `pip install 'rim-eval[data]'`.")
        from datasets import load_dataset

        try:
            yield from load_dataset(source[3:], split=split, revision=revision, streaming=True)
        except Exception as error:
            raise RimError(f"{source}, split {split}: {type(error).__name__}: {error}.") from error
        return
    path = Path(source).expanduser()
    if not path.is_file():
        raise RimError(f"{path}: no such file. Name a .jsonl file, or a hub set as hf:owner/name.")
    yield from sample_lines(path)


async def filter_rows(
    rows: Iterable[Row],
    settings: FilterSettings,
    monitor: Monitor,
    folder: Path,
    grader: Grader | None = None,
    held_out: HeldOut | None = None,
    progress: Progress | None = None,
) -> Counter[str]:
    """Read every row that is not yet in the folder, and append it to the file of its outcome.

    Args:
        rows: The rows, in the same order each time.
        settings: What decides.
        monitor: The monitor.
        folder: Where the three files and `filter.json` are.
        grader: The model to ask.
        held_out: Items of the evaluation sets that the settings name.
        progress: Where rows are counted.

    Returns:
        The number of rows by outcome, those of earlier runs included.

    Raises:
        RimError: The folder holds a run with other settings, the data changed since that run, or a
            row lacks a column.
    """
    folder.mkdir(parents=True, exist_ok=True)
    about, current = folder / "filter.json", settings.model_dump_json(indent=1)
    if not about.exists():
        write_whole({about: current + "\n"})
    elif not _same_settings(about, settings):
        raise RimError(
            f"{folder} holds a run with other settings ({about.name} says which). Use the same ones, or "
            "choose another --out folder."
        )
    counts: Counter[str] = Counter()
    digests: dict[int, str] = {}
    for outcome in OUTCOMES:
        for record in _records(folder / f"{outcome}.jsonl"):
            digests[record["row"]] = record["sha256"]
            counts[outcome] += 1
    if progress is not None:
        progress.begin("reading", unit="rows")
        progress.add(len(digests), kept=True)
    remaining = _remaining(rows, digests, folder)
    while batch := list(islice(remaining, _CONCURRENT)):
        decisions = await asyncio.gather(
            *(
                counted(_decide(number, row, settings, monitor, grader, held_out), progress)
                for number, row in batch
            )
        )
        for (_, row), (outcome, record) in zip(batch, decisions, strict=True):
            line = json.dumps({**row, COLUMN: record}, ensure_ascii=False, default=str)
            _append(folder / f"{outcome}.jsonl", line + "\n")
            counts[outcome] += 1
    return counts


def _same_settings(about: Path, settings: FilterSettings) -> bool:
    """Whether a folder's run had these settings; one of an earlier version has the defaults of new ones."""
    try:
        return FilterSettings.model_validate_json(about.read_text(encoding="utf-8")) == settings
    except ValidationError:
        return False


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise RimError(
            f"{path} cannot be written ({error.strerror or error}). Make room and give the same command: it goes "
            "on where this one ended."
        ) from None


def drop_reasons(folder: Path) -> Counter[str]:
    """Count the reasons of the rows dropped into a folder; a row may have several."""
    dropped = _records(folder / "dropped.jsonl")
    return Counter(reason for record in dropped for reason in record["reasons"])


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Decisions in a file; an incomplete last line, left by a stopped run, is removed from the file."""
    if not path.exists():
        return
    complete = 0
    with path.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                file.truncate(complete)
                return
            complete += len(line)
            yield json.loads(line)[COLUMN]


def _remaining(
    rows: Iterable[Row], digests: Mapping[int, str], folder: Path
) -> Iterator[tuple[int, Row]]:
    """Rows that were not read before; those that were must be the same."""
    unmatched = dict(digests)
    for number, row in enumerate(rows):
        if number not in digests:
            yield number, row
        elif unmatched.pop(number) != _digest(row):
            raise RimError(f"Row {number} is another one than {folder} holds: {_CHANGED}")
    if unmatched:
        raise RimError(
            f"{folder} holds {len(unmatched)} rows that the data ends before, from row "
            f"{min(unmatched)} on: {_CHANGED}"
        )


def _digest(row: Row) -> str:
    text = json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def _decide(
    number: int,
    row: Row,
    settings: FilterSettings,
    monitor: Monitor,
    grader: Grader | None,
    held_out: HeldOut | None,
) -> tuple[str, dict[str, Any]]:
    """The outcome of a row, with the record of the decision."""
    prompt, answer, trace = _texts(number, row, settings)
    split = split_trace(trace + answer)
    if settings.trace_column is None:
        trace, answer = split.trace or "", split.answer
    record: dict[str, Any] = {"row": number, "sha256": _digest(row)}
    reasons = [UNCLOSED] if split.closed is False else []  # None where the markers do not tell
    if held_out and held_out.overlaps(f"{prompt}\n{trace}\n{answer}"):
        reasons.append(HELD_OUT)
    if settings.gold_column and not reasons:
        check = check_answer(answer, _text(number, row, settings.gold_column))
        if check.correct is None:
            return "undecided", record | {"reason": f"answer not compared ({check.how})"}
        reasons += [] if check.correct else [ANSWER_LOST]
    if reasons:
        return "dropped", record | {"reasons": reasons, "quotes": {}}
    if not (settings.drop or settings.require):
        return "kept", record
    case = Case(prompt_text=prompt, kind="reasoning", trace=trace, answer=answer)
    reading = await read_patterns(monitor, case, "trace", grader)
    if not reading.read:
        return "undecided", record | {"reason": reading.reason}
    record |= {"found": reading.severities} | reading.model_dump(include={"patterns", "marks"})
    severe = {label for label, n in reading.severities.items() if n >= settings.least_severity}
    labels = severe | set(patterns_of(severe, monitor.grouping)) | set(reading.marks)
    reasons = sorted(labels & set(settings.drop))
    if settings.require and not labels & set(settings.require):
        reasons.append(PATTERN_MISSING)
    if reasons:
        quotes = {finding.label: finding.quote for finding in reversed(reading.findings)}
        return "dropped", record | {"reasons": reasons, "quotes": quotes}
    return "kept", record


def _texts(number: int, row: Row, settings: FilterSettings) -> tuple[str, str, str]:
    """Prompt, response and trace ("" without a column of its own) of a row.

    Raises:
        RimError: The row lacks a column, or its chat has no reply.
    """
    trace = _text(number, row, settings.trace_column) if settings.trace_column else ""
    if settings.messages_column is None:
        columns = settings.prompt_column, settings.response_column
        prompt, response = (_text(number, row, column) for column in columns)
        return prompt, response, trace
    turns = _turns(row.get(settings.messages_column))
    replies = [i for i, (role, text) in enumerate(turns) if role == "assistant" and text]
    if not replies:
        raise RimError(
            f"Row {number} has no reply in {settings.messages_column}; expected a list of messages with `role` "
            f"and `content`, one of the role assistant; its columns are {', '.join(sorted(row))}. Name the "
            "column with --messages-column."
        )
    asked = (text for role, text in reversed(turns[: replies[-1]]) if role == "user")
    return str(next(asked, "")), str(turns[replies[-1]][1]), trace


def _turns(chat: Any) -> list[tuple[Any, Any]]:
    """Role and text of each message; none where it is no chat."""
    if not isinstance(chat, list) or not all(isinstance(each, Mapping) for each in chat):
        return []
    return [(each.get("role"), each.get("content")) for each in chat]


def _text(number: int, row: Row, column: str) -> str:
    if not isinstance(text := row.get(column), str):
        raise RimError(
            f"Row {number} has no text in {column}; its columns are {', '.join(sorted(row))}. Name the columns "
            "with --prompt-column, --trace-column, --response-column and --gold-column, or a chat's with "
            "--messages-column."
        )
    return text
