"""Read bytes to rows, in the few file formats that publishers use.

inspect_evals' `record_to_sample` functions are not used here: they give Inspect samples, so that
importing them costs seconds and ties prompt sets to one harness, and half of the sets have none.
"""

import csv
import io
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.files import parse_json
from rim_eval.prompt_sets.registry import Columns, Format

Row = dict[str, Any]
"""One record of a file, by column. Rows count from 1, without the header."""

_HEADER_WORDS: Final = frozenset(
    {"behavior", "goal", "instruction", "instructions", "prompt", "query", "question", "text"}
)

_EXCESS: Final = "\0"
"""Stands for the column of cells that a CSV row has in excess of its header."""

GET_AGAIN: Final = "get the file again from its publisher"


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
            raise self.problem(
                problem, "UTF-8 text", f"{GET_AGAIN}, or save it as UTF-8"
            ) from error


def read_rows(file: DataFile, columns: Columns) -> list[Row]:
    """Return the rows of a file; blank lines are skipped.

    Raises:
        RimError: The bytes are not of that format; it names the file, the row and the next step.
    """
    return _READERS[columns.format](file, columns)


def _csv(file: DataFile, columns: Columns) -> list[Row]:
    text = file.text().lstrip("\n")
    headerless = columns.format == "csv_headerless"
    # A cell may be as long as the file; the module's own limit is 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    names = [columns.prompt] if headerless else None
    reader = csv.DictReader(io.StringIO(text, newline=""), names, _EXCESS, "")
    try:
        rows: list[Row] = list(reader)
    except csv.Error as error:
        raise file.problem(f"not a CSV file ({error})", "CSV in UTF-8", GET_AGAIN) from error
    try:
        deque(csv.reader(io.StringIO(text, newline=""), strict=True), maxlen=0)
    except csv.Error as error:
        # A quote that is never closed swallows every prompt after it, and no one would know.
        if "unexpected end" in str(error):
            problem = "a double quote is opened and never closed"
            expected = "every cell that begins with a double quote to end with one"
            step = 'close it, or write a quote inside a cell as ""'
            raise file.problem(problem, expected, step) from error
    header = reader.fieldnames or []
    for name, count in Counter(header).items():
        if count > 1:
            problem = f"the column {name!r} stands twice in the header"
            raise file.problem(problem, "every column name once", "rename or remove one")
    for number, row in enumerate(rows, 1):
        if cells := len(row.get(_EXCESS, [])):
            problem = f"{cells + len(header)} cells in the row, {len(header)} in the header"
            expected = "prompts that hold a comma in double quotes"
            if headerless:
                problem, expected = f"{cells + 1} columns", f"one column, with {expected}"
            step = "quote that cell, or get the publisher's file again"
            raise file.problem(problem, expected, step, row=number)
    first = rows[0][columns.prompt].strip() if headerless and rows else ""
    if first.casefold() in _HEADER_WORDS:
        raise file.problem(
            f"the first row is a header ({first!r})",
            "no header: the first row is a prompt",
            "remove that row, or get the publisher's file again",
            row=1,
        )
    return rows


def _json(file: DataFile, _columns: Columns) -> list[Row]:
    """JSON lines, or one array."""
    expected, step = "one JSON object a row", f"{GET_AGAIN}, or mend that row"
    text = file.text()
    is_array = text.lstrip().startswith("[")
    rows: list[Row] = []
    for number, line in enumerate([text] if is_array else filter(str.strip, text.split("\n")), 1):
        try:
            value = parse_json(line.encode("utf-8"))
            rows += value if is_array else [value]
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
    "csv_headerless": _csv,
    "json": _json,
    "lines": _lines,
    "parquet": _parquet,
}
