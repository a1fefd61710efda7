"""Read and check the rows of a set's files: columns, values, counts, checksums."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from rim_eval.errors import RimError
from rim_eval.prompt_sets.formats import Row, read_rows
from rim_eval.prompt_sets.registry import Columns, PromptSet
from rim_eval.prompt_sets.sources import SetFile
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


class CheckedFiles(NamedTuple):
    """What the files of a set hold, once they passed their checks."""

    records: list[Record]
    files: tuple[FileRecord, ...]
    notes: list[str]


def read_set(
    entry: PromptSet, files: tuple[SetFile, ...], *, allow_count: bool = False
) -> CheckedFiles:
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
    by_checksum: dict[str, FileRecord] = {}
    notes: list[str] = []
    for file in files:
        columns = file.declared.columns or entry.columns
        rows = read_rows(file.data, columns)
        records += [
            _RowReader(entry, file, columns, row, number).record()
            for number, row in enumerate(rows, 1)
        ]
        notes += [note for note in (_check_count(file, len(rows), allow_count), file.note) if note]
        digest = _checksum(file)
        if digest in by_checksum:  # the count is right then, and the prompts are not
            problem = f"the same content as {by_checksum[digest].name}"
            step = "get both from the publisher again"
            raise file.data.problem(problem, "a file of its own", step)
        by_checksum[digest] = FileRecord(name=file.data.name, sha256=digest, rows=len(rows))
    counts = Counter(record.subset for record in records)
    for name, subset in entry.subsets.items():
        if counts[name] != subset.count and not allow_count:
            every_name = ", ".join(file.data.name for file in files)
            raise RimError(
                f"{entry.name}: {every_name}: {counts[name]} rows are of the subset {name}; "
                f"expected {subset.count}.\nNext: get the publisher's file unchanged."
            )
    return CheckedFiles(records, tuple(by_checksum.values()), notes)


def _check_count(file: SetFile, rows: int, allow_count: bool) -> str | None:
    """Return a note on another count of rows."""
    expected = file.declared.rows or 0
    if rows == expected:
        return None
    if rows and allow_count:
        return f"{file.data.name} has {rows} rows where {expected} were expected"
    problem = f"{rows} rows"
    if rows == expected - 1:
        problem += " (was the first prompt taken for a header when the file was made?)"
    own = "; or run it as a file of your own (rim_eval/prompts)" if rows else ""
    step = f"get the publisher's file unchanged{own}"
    raise file.data.problem(problem, f"{expected} rows", step)


def _checksum(file: SetFile) -> str:
    digest = hashlib.sha256(file.data.content).hexdigest()
    if file.declared.sha256 in (None, digest):
        return digest
    raise file.data.problem(
        f"SHA-256 is {digest}",
        f"{file.declared.sha256}, the published file",
        "get the file again (an editor or git may have changed its line ends; a damaged download "
        "may lie in the cache), or load yours as a file of your own",
    )


_AGAIN = "get the file again from its publisher"


@dataclass(frozen=True)
class _RowReader:
    """Gives a row's columns their meaning, and checks each value."""

    entry: PromptSet
    file: SetFile
    columns: Columns
    row: Row
    number: int

    def record(self) -> Record:
        columns = self.columns
        for column in columns.required:
            if column not in self.row:
                raise self._problem(
                    f"no column {column!r} among {', '.join(map(repr, self.row))}",
                    f"the columns {', '.join(columns.required)}",
                    "check that this is the right file and that its first line is the header",
                )
        subset = self._subset()
        labels: dict[str, str] = {}
        for column in columns.labels:
            value = self.row.get(column)
            pairs = value.items() if isinstance(value, dict) else [(column, value)]
            labels |= {str(key): str(label) for key, label in pairs if label is not None}
        return Record(
            kind=(subset and self.entry.subsets[subset].kind) or self.entry.kind,
            text=self._prompt(),
            category=self._text(columns.category) or self.file.declared.category,
            subset=subset,
            context=self._text(columns.context),
            target=self._target(),
            pair_key=self._text(columns.pair),
            labels=labels,
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
            return self.file.declared.subset
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
            problem = f"no gold answer in the column {column!r}"
            raise self._problem(problem, f"a text that matches {pattern}")
        return match.group(1).strip()

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
        return self.file.data.problem(problem, expected, step, row=self.number)
