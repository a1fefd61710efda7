"""Bytes to rows, for the few file formats that publishers use.

inspect_evals' `record_to_sample` functions are not used here: they give Inspect samples, so that
importing them costs seconds and ties the catalogue to one harness, and half of the sets have none.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.prompt_sets._problem import problem
from rim_eval.prompt_sets._schema import Columns, Format

__all__ = ["ReadFile", "Row", "read_rows"]

_HEADER_WORDS: Final = frozenset(
    {"behavior", "goal", "instruction", "instructions", "prompt", "query", "question", "text"}
)


class Row(NamedTuple):
    """One record of a file."""

    number: int
    """From 1, without the header."""
    values: dict[str, Any]


class ReadFile(NamedTuple):
    """A file's bytes and what messages call it."""

    set: str
    name: str
    content: bytes


def read_rows(file: ReadFile, columns: Columns) -> list[Row]:
    """Rows of a file; blank lines are skipped.

    Raises:
        RimError: when the bytes are not of that format, naming file, row and next step.
    """
    return _READERS[columns.format](file, columns)


def _csv(file: ReadFile, _columns: Columns) -> list[Row]:
    header, *records = _csv_records(file) or [[]]
    _refuse_repeated(file, header)
    return [
        Row(number, _named(file, header, record, number))
        for number, record in enumerate(records, 1)
    ]


def _named(file: ReadFile, header: list[str], record: list[str], number: int) -> dict[str, Any]:
    if len(record) > len(header):
        raise problem(
            file.set,
            file.name,
            f"{len(record)} cells in the row, {len(header)} in the header",
            row=number,
            expected="a prompt with a comma, quote or line break to stand in double quotes",
            step="quote that cell, or get the publisher's file again.",
        )
    return dict(zip(header, record + [""] * (len(header) - len(record)), strict=True))


def _csv_headerless(file: ReadFile, columns: Columns) -> list[Row]:
    records = _csv_records(file)
    for number, record in enumerate(records, 1):
        if len(record) != 1:
            raise problem(
                file.set,
                file.name,
                f"{len(record)} columns",
                row=number,
                expected="one column, with prompts that hold a comma in double quotes",
                step="get the publisher's file again, and do not add columns.",
            )
    if records and records[0][0].strip().casefold() in _HEADER_WORDS:
        raise problem(
            file.set,
            file.name,
            f"the first row is a header ({records[0][0].strip()!r})",
            row=1,
            expected="no header: the first row is a prompt",
            step="remove that row, or get the publisher's file again.",
        )
    return [Row(number, {columns.prompt: record[0]}) for number, record in enumerate(records, 1)]


def _csv_records(file: ReadFile) -> list[list[str]]:
    text = _text(file)
    # A cell may be as long as the file; the module's own limit is 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    _refuse_open_quote(file, text)
    try:
        return [record for record in csv.reader(io.StringIO(text, newline="")) if record]
    except csv.Error as error:
        raise problem(
            file.set,
            file.name,
            f"not a CSV file ({error})",
            expected="CSV in UTF-8",
            step="get the file again from its publisher.",
        ) from error


def _refuse_open_quote(file: ReadFile, text: str) -> None:
    """A quote that is never closed swallows every prompt after it, and no one would know."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), strict=True):
            pass
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise problem(
                file.set,
                file.name,
                "a double quote is opened and never closed",
                expected="every cell that begins with a double quote to end with one",
                step='close it, or write a quote inside a cell as "".',
            ) from error


def _refuse_repeated(file: ReadFile, header: list[str]) -> None:
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise problem(
            file.set,
            file.name,
            f"the column {repeated[0]!r} stands twice in the header",
            expected="every column name once",
            step="rename or remove one of them.",
        )


def _json(file: ReadFile, _columns: Columns) -> list[Row]:
    text = _text(file)
    values = _array(file, text) if text.lstrip().startswith("[") else _lines_of_json(file, text)
    rows = [Row(number, value) for number, value in enumerate(values, 1)]
    for row in rows:
        if not isinstance(row.values, dict):
            raise _not_json(file, f"a JSON {type(row.values).__name__}", row.number)
    return rows


def _array(file: ReadFile, text: str) -> list[Any]:
    try:
        return list(json.loads(text))
    except ValueError as error:
        raise _not_json(file, f"not JSON ({error})", None) from error


def _lines_of_json(file: ReadFile, text: str) -> Iterator[Any]:
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise _not_json(file, "not JSON", number) from error


def _not_json(file: ReadFile, found: str, row: int | None) -> RimError:
    step = "get the file again from its publisher, or mend that row."
    return problem(file.set, file.name, found, row=row, expected="one JSON object a row", step=step)


def _lines(file: ReadFile, columns: Columns) -> list[Row]:
    lines = (line for line in _text(file).split("\n") if line.strip())
    return [Row(number, {columns.prompt: line}) for number, line in enumerate(lines, 1)]


def _parquet(file: ReadFile, _columns: Columns) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise RimError(
            f"{file.set}: {file.name} is a Parquet file, which needs pyarrow. "
            "Install it: pip install 'rim-eval[data]'"
        ) from error
    try:
        rows = pyarrow.parquet.read_table(io.BytesIO(file.content)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise problem(
            file.set,
            file.name,
            "not a Parquet file",
            expected="the publisher's file",
            step="get it again.",
        ) from error
    return [Row(number, values) for number, values in enumerate(rows, 1)]


def _text(file: ReadFile) -> str:
    try:
        # Spreadsheet programs put a byte order mark before the first column's name.
        return file.content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = file.content[: error.start].count(b"\n") + 1
        raise problem(
            file.set,
            file.name,
            f"byte {error.start} (line {line}) is not UTF-8",
            expected="UTF-8 text",
            step="get the file again from its publisher, or save it as UTF-8.",
        ) from error


_READERS: Final[dict[Format, Callable[[ReadFile, Columns], list[Row]]]] = {
    "csv": _csv,
    "csv_headerless": _csv_headerless,
    "json": _json,
    "lines": _lines,
    "parquet": _parquet,
}
