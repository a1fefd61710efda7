"""Read bytes to rows, in the few file formats that publishers use.

inspect_evals' `record_to_sample` functions are not used here: they give Inspect samples, so that
importing them costs seconds and ties prompt sets to one harness, and half of the sets have none.
"""

import csv
import io
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.prompt_sets.registry import Columns, Format

Row = dict[str, Any]
"""One record of a file, by column. Rows count from 1, without the header."""

_HEADER_WORDS: Final = frozenset(
    {"behavior", "goal", "instruction", "instructions", "prompt", "query", "question", "text"}
)


def file_problem(
    set_name: str, file: str, problem: str, *, expected: str, step: str, row: int | None = None
) -> RimError:
    """Return the error for a file that is not as it should be.

    Args:
        set_name: The set.
        file: Name of the file.
        problem: What is wrong with it; never prompt text.
        expected: What a good file has.
        step: What the user can do next.
        row: Number of the record, from 1, without the header.
    """
    where = file if row is None else f"{file}, row {row}"
    return RimError(f"{set_name}: {where}: {problem}; expected {expected}.\nNext: {step}")


class DataFile(NamedTuple):
    """A file's bytes and what messages call it."""

    set_name: str
    name: str
    content: bytes

    def problem(
        self, problem: str, *, expected: str, step: str, row: int | None = None
    ) -> RimError:
        """Return the error for this file (`file_problem`)."""
        return file_problem(
            self.set_name, self.name, problem, expected=expected, step=step, row=row
        )

    def text(self) -> str:
        """Return the file as text, without a byte order mark, with one kind of line end."""
        try:
            # Spreadsheet programs put a byte order mark before the first column's name.
            return self.content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = self.content[: error.start].count(b"\n") + 1
            raise self.problem(
                f"byte {error.start} (line {line}) is not UTF-8",
                expected="UTF-8 text",
                step="get the file again from its publisher, or save it as UTF-8.",
            ) from error


def read_rows(file: DataFile, columns: Columns) -> list[Row]:
    """Return the rows of a file; blank lines are skipped.

    Args:
        file: The file.
        columns: Its format, and the name of a column that has none.

    Raises:
        RimError: The bytes are not of that format; it names the file, the row and the next step.
    """
    return _READERS[columns.format](file, columns)


def _csv(file: DataFile, _columns: Columns) -> list[Row]:
    header, *records = _csv_records(file) or [[]]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise file.problem(
            f"the column {repeated[0]!r} stands twice in the header",
            expected="every column name once",
            step="rename or remove one of them.",
        )
    for number, record in enumerate(records, 1):
        if len(record) > len(header):
            raise file.problem(
                f"{len(record)} cells in the row, {len(header)} in the header",
                row=number,
                expected="a prompt with a comma, quote or line break to stand in double quotes",
                step="quote that cell, or get the publisher's file again.",
            )
    padding = [""] * len(header)
    return [dict(zip(header, record + padding, strict=False)) for record in records]


def _csv_headerless(file: DataFile, columns: Columns) -> list[Row]:
    records = _csv_records(file)
    for number, record in enumerate(records, 1):
        if len(record) != 1:
            raise file.problem(
                f"{len(record)} columns",
                row=number,
                expected="one column, with prompts that hold a comma in double quotes",
                step="get the publisher's file again, and do not add columns.",
            )
    if records and records[0][0].strip().casefold() in _HEADER_WORDS:
        raise file.problem(
            f"the first row is a header ({records[0][0].strip()!r})",
            row=1,
            expected="no header: the first row is a prompt",
            step="remove that row, or get the publisher's file again.",
        )
    return [{columns.prompt: record[0]} for record in records]


def _csv_records(file: DataFile) -> list[list[str]]:
    text = file.text()
    # A cell may be as long as the file; the module's own limit is 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    _refuse_open_quote(file, text)
    try:
        return [record for record in csv.reader(io.StringIO(text, newline="")) if record]
    except csv.Error as error:
        raise file.problem(
            f"not a CSV file ({error})",
            expected="CSV in UTF-8",
            step="get the file again from its publisher.",
        ) from error


def _refuse_open_quote(file: DataFile, text: str) -> None:
    """A quote that is never closed swallows every prompt after it, and no one would know."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), strict=True):
            pass
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise file.problem(
                "a double quote is opened and never closed",
                expected="every cell that begins with a double quote to end with one",
                step='close it, or write a quote inside a cell as "".',
            ) from error


def _json(file: DataFile, _columns: Columns) -> list[Row]:
    """JSON lines, or one array."""
    text = file.text()
    if text.lstrip().startswith("["):
        rows = _json_value(file, text, None)
    else:
        lines = (line for line in text.split("\n") if line.strip())
        rows = [_json_value(file, line, number) for number, line in enumerate(lines, 1)]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise _not_json(file, f"a JSON {type(row).__name__}", number)
    return list(rows)


def _json_value(file: DataFile, text: str, number: int | None) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        detail = f" ({error})" if number is None else ""  # a row's text may be a prompt
        raise _not_json(file, f"not JSON{detail}", number) from error


def _not_json(file: DataFile, problem: str, row: int | None) -> RimError:
    step = "get the file again from its publisher, or mend that row."
    return file.problem(problem, row=row, expected="one JSON object a row", step=step)


def _lines(file: DataFile, columns: Columns) -> list[Row]:
    return [{columns.prompt: line} for line in file.text().split("\n") if line.strip()]


def _parquet(file: DataFile, _columns: Columns) -> list[Row]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise RimError(
            f"{file.set_name}: {file.name} is a Parquet file, which needs pyarrow. "
            "Install it: pip install 'rim-eval[data]'"
        ) from error
    try:
        rows: list[Row] = pyarrow.parquet.read_table(io.BytesIO(file.content)).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise file.problem(
            "not a Parquet file", expected="the publisher's file", step="get it again."
        ) from error
    return rows


_READERS: Final[dict[Format, Callable[[DataFile, Columns], list[Row]]]] = {
    "csv": _csv,
    "csv_headerless": _csv_headerless,
    "json": _json,
    "lines": _lines,
    "parquet": _parquet,
}
