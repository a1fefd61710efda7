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


_AGAIN: Final = "get the file again from its publisher"


class DataFile(NamedTuple):
    """A file's bytes and what messages call it."""

    set_name: str
    name: str
    content: bytes

    def problem(
        self, problem: str, expected: str, step: str, *, row: int | None = None
    ) -> RimError:
        """Return the error for a file that is not as it should be.

        Args:
            problem: What is wrong with it; never prompt text.
            expected: What a good file has.
            step: What the user can do next.
            row: Number of the record, from 1, without the header.
        """
        where = self.name if row is None else f"{self.name}, row {row}"
        return RimError(f"{self.set_name}: {where}: {problem}; expected {expected}.\nNext: {step}.")

    def text(self) -> str:
        """Return the file as text, without a byte order mark, with one kind of line end."""
        try:
            # Spreadsheet programs put a byte order mark before the first column's name.
            return self.content.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = self.content[: error.start].count(b"\n") + 1
            problem = f"byte {error.start} (line {line}) is not UTF-8"
            raise self.problem(problem, "UTF-8 text", f"{_AGAIN}, or save it as UTF-8") from error


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
    for name in header:
        if header.count(name) > 1:
            problem = f"the column {name!r} stands twice in the header"
            raise file.problem(problem, "every column name once", "rename or remove one of them")
    for number, record in enumerate(records, 1):
        if len(record) > len(header):
            raise file.problem(
                f"{len(record)} cells in the row, {len(header)} in the header",
                "a prompt with a comma, quote or line break to stand in double quotes",
                "quote that cell, or get the publisher's file again",
                row=number,
            )
    padding = [""] * len(header)
    return [dict(zip(header, record + padding, strict=False)) for record in records]


def _csv_headerless(file: DataFile, columns: Columns) -> list[Row]:
    records = _csv_records(file)
    for number, record in enumerate(records, 1):
        if len(record) != 1:
            raise file.problem(
                f"{len(record)} columns",
                "one column, with prompts that hold a comma in double quotes",
                "get the publisher's file again, and do not add columns",
                row=number,
            )
    if records and (first := records[0][0].strip()).casefold() in _HEADER_WORDS:
        raise file.problem(
            f"the first row is a header ({first!r})",
            "no header: the first row is a prompt",
            "remove that row, or get the publisher's file again",
            row=1,
        )
    return [{columns.prompt: record[0]} for record in records]


def _csv_records(file: DataFile) -> list[list[str]]:
    text = file.text()
    # A cell may be as long as the file; the module's own limit is 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    lenient, strict = (csv.reader(io.StringIO(text, newline=""), strict=s) for s in (False, True))
    try:
        records = [record for record in lenient if record]
    except csv.Error as error:
        raise file.problem(f"not a CSV file ({error})", "CSV in UTF-8", _AGAIN) from error
    try:
        list(strict)
    except csv.Error as error:
        # A quote that is never closed swallows every prompt after it, and no one would know.
        if "unexpected end" in str(error):
            raise file.problem(
                "a double quote is opened and never closed",
                "every cell that begins with a double quote to end with one",
                'close it, or write a quote inside a cell as ""',
            ) from error
    return records


def _json(file: DataFile, _columns: Columns) -> list[Row]:
    """JSON lines, or one array."""
    expected, step = "one JSON object a row", f"{_AGAIN}, or mend that row"
    text = file.text()
    is_array = text.lstrip().startswith("[")
    rows: list[Row] = []
    for number, line in enumerate([text] if is_array else filter(str.strip, text.split("\n")), 1):
        try:
            rows += json.loads(line) if is_array else [json.loads(line)]
        except ValueError as error:
            if is_array:
                raise file.problem(f"not JSON ({error})", expected, step) from error
            # Without the parser's detail: a row's text may be a prompt.
            raise file.problem("not JSON", expected, step, row=number) from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise file.problem(f"a JSON {type(row).__name__}", expected, step, row=number)
    return rows


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
        raise file.problem("not a Parquet file", "the publisher's file", "get it again") from error
    return rows


_READERS: Final[dict[Format, Callable[[DataFile, Columns], list[Row]]]] = {
    "csv": _csv,
    "csv_headerless": _csv_headerless,
    "json": _json,
    "lines": _lines,
    "parquet": _parquet,
}
