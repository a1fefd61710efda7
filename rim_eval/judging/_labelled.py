"""Human-labelled replies, to validate judges: published sets and a user's own CSV, in one shape."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import filter as matching
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from rim_eval.errors import AccessError, RimError, first_complaint
from rim_eval.judging._case import Case
from rim_eval.prompt_sets.formats import DataFile, Row, read_rows
from rim_eval.prompt_sets.records import FileRecord, record_file
from rim_eval.prompt_sets.registry import Columns, Format, PublishedFiles, SourceFile, entry
from rim_eval.prompt_sets.sources import SetFile, obtain
from rim_eval.types import FrozenModel, Name, PromptKind

ReplyMode = Literal["think", "no_think", "unknown"]


class LabelledReply(FrozenModel):
    """One reply with what people said of it."""

    case: Case
    human: bool
    """Whether the event happened, by the people's final label."""
    model: Name
    """Which model wrote the reply; `unnamed` when the set does not say."""
    mode: ReplyMode
    label: str | None = None
    prompt_kind: PromptKind = "harmful"
    """What the prompt asks for; the case's kind says which event the label is about."""
    file: FileRecord
    """The file that it comes from."""


class Join(FrozenModel):
    """Where the columns of a row's prompt are, if not in the row: a prompt set's files."""

    set: str
    key: str
    """Column of the labelled row that names the prompt."""
    column: str
    """Column of the prompt set that holds that name."""


class LabelledSet(PublishedFiles):
    """Where a labelled set is published and how its rows are read (`labelled_sets.toml`)."""

    about: str
    format: Format
    columns: dict[str, str]
    """Columns by what they hold: `prompt`, `answer` and `label` must be in every row; `trace`, `context`,
    `kind`, `model` and `mode` may be absent. A label of several columns (`human_*`) is their majority."""
    join: Join | None = None
    chat: str | None = None
    """Column of a list of messages: the last of each role is read as a column of that name, and the reply's trace
    and mode as the columns `trace` and `mode`."""
    kind: PromptKind = "harmful"
    harmful_prompts: dict[str, str] = Field(default={})
    """Where labels of one event are about prompts of both kinds: the harmful ones, by a column's pattern."""
    mode: ReplyMode = "no_think"
    labels: dict[PromptKind, dict[str, bool]]
    """Whether the event happened, by people's label, for each kind of case."""
    model_in_file_name: str = ""
    """Where no column names the model: a regular expression of the file's name, its group the model."""


LABELLED_SETS: Final = {
    name: LabelledSet.model_validate({"name": name, **table})
    for name, table in tomllib.loads(
        Path(__file__).with_name("labelled_sets.toml").read_text(encoding="utf-8")
    ).items()
}
"""Human-labelled sets by name, and `csv` for a user's own file."""


def load_labelled(name: str, files: Sequence[Path] = ()) -> list[LabelledReply]:
    """Return all labelled replies of a set.

    Args:
        name: A key of `LABELLED_SETS`.
        files: Local files in the publisher's format, which count as the published ones where their names
            do; without any the set comes from the folder in `RIM_EVAL_DATA`, or from its publisher.

    Raises:
        RimError: There is no such set, or a file is missing, given twice, or not as it should be.
        AccessError: The publisher cannot be reached.
    """
    if name not in LABELLED_SETS:
        raise RimError(f"There is no labelled set `{name}`. Sets: {', '.join(LABELLED_SETS)}.")
    labelled_set = LABELLED_SETS[name]
    if not files and not labelled_set.files:
        raise RimError(
            f"The set `{name}` needs a file: --data FILE, {labelled_set.about}. Published sets need none: "
            f"--set {', '.join(other for other, each in LABELLED_SETS.items() if each.files)}."
        )
    published = {file.name: file for file in labelled_set.files}
    try:
        contents = [
            SetFile(published.get(path.name, SourceFile(path=path.name)), path.read_bytes())
            for path in files
        ] or obtain(labelled_set, None).files
    except AccessError as error:
        raise type(error)(f"{error}\nOr name your copies: --set {name} --data FILE.") from error
    except OSError as error:
        step = f"Name a file of the set `{name}` with --data"
        raise RimError(f"{error.filename}: {error.strerror}. {step}.") from None
    columns = Columns(
        format=labelled_set.format,
        prompt=labelled_set.chat or labelled_set.columns["prompt"],
        labels=tuple(labelled_set.columns.values()),
    )
    prompts = _rows_by_name(labelled_set.join) if labelled_set.join else {}
    replies = list[LabelledReply]()
    for file, rows, record in _read_files(name, contents, columns):
        if join := labelled_set.join:
            rows = [{**prompts.get(row.get(join.key), {}), **row} for row in rows]
        replies += _read_rows(labelled_set, file, rows, record)
    return replies


def _rows_by_name(join: Join) -> dict[Any, Row]:
    prompt_set = entry(join.set)
    files = _read_files(join.set, obtain(prompt_set, None).files, prompt_set.columns)
    return {row[join.column]: row for _, rows, _ in files for row in rows}


def _read_files(
    name: str, contents: Iterable[SetFile], columns: Columns
) -> Iterator[tuple[DataFile, list[Row], FileRecord]]:
    """Read a set's files one by one, each checked against what is declared of it."""
    records: dict[str, FileRecord] = {}
    for declared, content, _ in contents:
        file = DataFile(name, declared.name, content)
        rows = read_rows(file, columns)
        record = record_file(file, declared, len(rows), declared.rows, records)
        records[record.sha256] = record
        yield file, rows, record


def _read_rows(
    labelled_set: LabelledSet, file: DataFile, rows: list[Row], record: FileRecord
) -> list[LabelledReply]:
    replies = list[LabelledReply]()
    for number, row in enumerate(rows, 1):
        try:
            if reply := _read_row(labelled_set, row, record):
                replies.append(reply)
        except (KeyError, ValueError, TypeError) as error:
            problem = str(error)
            if isinstance(error, KeyError):
                problem = f"no column {error}; there are {sorted(map(str, row))}"
            elif isinstance(error, ValidationError):
                problem = first_complaint(error, "the reply")
            step = "mend that row, or name the set that the file is of with --set"
            raise file.problem(problem, labelled_set.about, step, row=number) from None
    if not replies:
        labels = ", ".join(labelled_set.labels[labelled_set.kind])
        step = "write one of these labels in a row, or name the set that the file is of with --set"
        raise file.problem("no row has a usable label", labels, step)
    return replies


def _read_row(labelled_set: LabelledSet, row: Row, file: FileRecord) -> LabelledReply | None:
    """Read one row; None where people gave no usable label, or as many said yes as no."""
    if labelled_set.chat:
        row = {**row, **_unfold_chat(row[labelled_set.chat])}
    pattern = labelled_set.columns["label"]
    words = [str(row[c]).strip().casefold() for c in matching(row, pattern) or [pattern]]
    cells = {name: row.get(column) or None for name, column in labelled_set.columns.items()}
    case = Case(
        prompt_text=row[labelled_set.columns["prompt"]],
        context=cells.get("context"),
        kind=cells.get("kind") or labelled_set.kind,
        answer=row[labelled_set.columns["answer"]] or "",
        trace=cells.get("trace"),
    )
    labels = labelled_set.labels.get(case.kind, {})
    votes = [labels[word] for word in words if word in labels]
    if sum(votes) * 2 == len(votes):
        return None
    harmful = any(fnmatchcase(str(row.get(c)), p) for c, p in labelled_set.harmful_prompts.items())
    in_name = re.fullmatch(labelled_set.model_in_file_name, Path(file.name).stem)
    return LabelledReply(
        case=case,
        human=sum(votes) * 2 > len(votes),
        model=str(cells.get("model") or (in_name[1] if in_name else "unnamed")),
        mode=cells.get("mode") or labelled_set.mode,
        # Labels of a set's own are numbered: `2_full_refusal`.
        label=words[0].partition("_")[2] or None,
        prompt_kind="harmful" if harmful else case.kind,
        file=file,
    )


def _unfold_chat(messages: Sequence[Mapping[str, Any]]) -> Row:
    """The last message of each role by its name, and the reply's trace and mode."""
    from rim_eval.thinking import split_trace

    texts = {message["role"]: str(message["content"]) for message in messages}
    split = split_trace(texts["assistant"])
    mode = "think" if split.trace else "no_think"
    return {**texts, "assistant": split.answer, "trace": split.trace, "mode": mode}
