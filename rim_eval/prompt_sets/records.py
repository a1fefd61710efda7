"""Read and check the rows of a set's files: columns, values, counts, checksums."""

import hashlib
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from rim_eval.errors import RimError
from rim_eval.prompt_sets.formats import DataFile, Row, file_problem, read_rows
from rim_eval.prompt_sets.registry import Columns, PromptSet, SourceFile
from rim_eval.prompt_sets.sources import SetFile, SetFiles
from rim_eval.types import PromptKind


class Record(NamedTuple):
    """One row of a set, read: a prompt before it has an id and a partner."""

    kind: PromptKind
    text: str
    category: str | None
    subset: str | None
    context: str | None
    target: str | None
    pair_key: str | None
    labels: dict[str, str]

    @property
    def order(self) -> tuple[str, ...]:
        """What tells records of equal text apart."""
        return (self.subset or "", self.target or "", self.category or "", self.pair_key or "")


class FileRecord(BaseModel):
    """One file that was read, as results name it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class CheckedSet:
    """A set whose files passed their checks."""

    entry: PromptSet
    files: SetFiles
    records: tuple[Record, ...]
    file_records: tuple[FileRecord, ...]
    notes: tuple[str, ...]


def read_set(entry: PromptSet, files: SetFiles, *, allow_count: bool = False) -> CheckedSet:
    """Read and check all files of a set.

    Args:
        entry: The set.
        files: Its files.
        allow_count: Note another count of rows instead of refusing it.

    Raises:
        RimError: A file is not as it should be; the message names the set, the file, the row, what
            is wrong, what was expected, and the next step.
    """
    records: list[Record] = []
    file_records: list[FileRecord] = []
    notes: list[str] = []
    for file in files.files:
        read = _read_file(entry, file)
        notes += [_check_count(entry, file, len(read), allow_count), file.note]
        file_records.append(
            FileRecord(name=file.declared.name, sha256=_checksum(entry, file), rows=len(read))
        )
        records += read
    _refuse_same_content(entry, file_records)
    if not allow_count:
        _check_subset_counts(entry, files, records)
    all_notes = tuple(note for note in notes if note)
    return CheckedSet(entry, files, tuple(records), tuple(file_records), all_notes)


# ---- the set's files ----


def _read_file(entry: PromptSet, file: SetFile) -> list[Record]:
    columns = file.declared.columns or entry.columns
    data = DataFile(entry.name, file.declared.name, file.content)
    rows = read_rows(data, columns)
    return [
        _RowReader(entry, file.declared, data, columns, row, number).record()
        for number, row in enumerate(rows, 1)
    ]


def _refuse_same_content(entry: PromptSet, file_records: list[FileRecord]) -> None:
    """Refuse one file under two names: the count is right then, and the prompts are not."""
    names: dict[str, str] = {}
    for file in file_records:
        first = names.setdefault(file.sha256, file.name)
        if first != file.name:
            raise file_problem(
                entry.name,
                file.name,
                f"the same content as {first}",
                expected="a file of its own",
                step="get both from the publisher again.",
            )


def _check_count(entry: PromptSet, file: SetFile, rows: int, allow_count: bool) -> str:
    """Return a note on another count of rows, empty for the right one."""
    name, expected = file.declared.name, file.declared.rows or 0
    if rows == expected:
        return ""
    if rows and allow_count:
        return f"{name} has {rows} rows where {expected} were expected"
    problem = f"{rows} rows"
    if rows == expected - 1:
        problem += " (was the first prompt taken for a header when the file was made?)"
    own = "; or run it as a file of your own (rim_eval/prompts)" if rows else ""
    step = f"get the publisher's file unchanged{own}."
    raise file_problem(entry.name, name, problem, expected=f"{expected} rows", step=step)


def _check_subset_counts(entry: PromptSet, files: SetFiles, records: list[Record]) -> None:
    for name, subset in entry.subsets.items():
        count = sum(record.subset == name for record in records)
        if count != subset.count:
            raise file_problem(
                entry.name,
                ", ".join(file.declared.name for file in files.files),
                f"{count} rows are of the subset {name}",
                expected=str(subset.count),
                step="get the publisher's file unchanged.",
            )


def _checksum(entry: PromptSet, file: SetFile) -> str:
    digest = hashlib.sha256(file.content).hexdigest()
    if file.declared.sha256 in (None, digest):
        return digest
    raise file_problem(
        entry.name,
        file.declared.name,
        f"SHA-256 is {digest}",
        expected=f"{file.declared.sha256}, the published file",
        step="get the file again (an editor or git may have changed its line ends; a damaged "
        "download may lie in the cache), or load yours as a file of your own.",
    )


# ---- one row ----

_AGAIN = "get the file again from its publisher"


@dataclass(frozen=True)
class _RowReader:
    """Gives a row's columns their meaning, and checks each value."""

    entry: PromptSet
    source: SourceFile
    file: DataFile
    columns: Columns
    row: Row
    number: int

    def record(self) -> Record:
        for column in self.columns.required:
            if column not in self.row:
                raise self._problem(
                    f"no column {column!r} among {', '.join(map(repr, self.row))}",
                    f"the columns {', '.join(self.columns.required)}",
                    "check that this is the right file and that its first line is the header",
                )
        columns, subset = self.columns, self._subset()
        return Record(
            kind=(subset and self.entry.subsets[subset].kind) or self.entry.kind,
            text=self._prompt(),
            category=self._text(columns.category) or self.source.category,
            subset=subset,
            context=self._text(columns.context),
            target=self._target(),
            pair_key=self._text(columns.pair),
            labels=self._labels(),
        )

    def _prompt(self) -> str:
        column = self.columns.prompt
        value = self.row[column]
        # SORRY-Bench holds its one user turn in a list.
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str):
            kind = "null" if value is None else f"a {type(value).__name__}"
            expected, step = "text, or a list of one text", f"check the column {column!r}"
            raise self._problem(f"the prompt is {kind}", expected, step)
        text = self._unicode(column, value).replace("\r\n", "\n").strip()
        if not text:
            expected, step = "a prompt in every row", f"{_AGAIN}, or remove that row"
            raise self._problem("the prompt is empty", expected, step)
        return text

    def _subset(self) -> str | None:
        column = self.columns.subset
        if not column:
            return self.source.subset
        value = self._text(column)
        by_value = {subset.value or name: name for name, subset in self.entry.subsets.items()}
        if value not in by_value:
            raise self._problem(f"column {column!r} is {value!r}", f"one of {', '.join(by_value)}")
        return by_value[value]

    def _target(self) -> str | None:
        column, pattern = self.columns.target, self.columns.target_pattern
        value = self._text(column)
        if column and value is None:
            raise self._problem("the gold answer is empty", f"an answer in the column {column!r}")
        if value is None or not pattern:
            return value
        match = re.search(pattern, value)
        if match is None:
            raise self._problem(
                f"no gold answer in the column {column!r}", f"a text that matches {pattern}"
            )
        return match.group(1).strip()

    def _labels(self) -> dict[str, str]:
        labels: dict[str, str] = {}
        for column in self.columns.labels:
            value = self.row.get(column)
            pairs = value.items() if isinstance(value, dict) else [(column, value)]
            labels |= {str(key): str(label) for key, label in pairs if label is not None}
        return labels

    def _text(self, column: str | None) -> str | None:
        value: Any = self.row.get(column) if column else None
        return None if value is None else self._unicode(column, str(value)).strip() or None

    def _unicode(self, column: str | None, text: str) -> str:
        """The text, unless it holds what JSON can spell but no file and no request can carry."""
        if re.search("[\ud800-\udfff]", text):
            problem = f"column {column!r} holds half of a surrogate pair"
            raise self._problem(problem, "Unicode text", "mend that row")
        return text

    def _problem(self, problem: str, expected: str, step: str = _AGAIN) -> RimError:
        return self.file.problem(problem, row=self.number, expected=expected, step=f"{step}.")
