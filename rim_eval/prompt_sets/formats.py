"""Read bytes to rows, in the few file formats that publishers use.

inspect_evals' `record_to_sample` functions are not used here: they give Inspect samples, so that
importing them costs seconds and ties prompt sets to one harness, and half of the sets have none.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.prompt_sets.registry import Columns, Format

Row = dict[str, Any]
"""One record of a file, by column. Rows count from 1, without the header."""

_HEADER_WORDS: Final = frozenset(
    {"behavior", "goal", "instruction", "instructions", "prompt", "query", "question", "text"}
)

_DELIMITERS: Final = ",;\t|"
"""Spreadsheet programs take the semicolon where the comma is the decimal mark."""

_UNREADABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no text holds and no request can carry; a byte that is not UTF-8 is read as U+DC80 to U+DCFF."""

_MAX_YAML_BYTES: Final = 2**18
_MOST_REFERENCES: Final = 1000
"""Of YAML: the publishers' files have one for each field that several rows share."""

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
        """Return the file as text, without a byte order mark, with one kind of line end.

        A byte that is not UTF-8 gives half of a surrogate pair, so that `read_rows` names its row.
        """
        # By its byte order mark; without one, by where the first zero bytes stand (RFC 4627, section 3).
        encoding = json.detect_encoding(self.content)
        errors = "surrogateescape" if encoding.startswith("utf-8") else "surrogatepass"
        try:
            text = self.content.decode(encoding, errors)
        except UnicodeDecodeError as error:
            problem = f"not {encoding.upper()} at byte {error.start}"
            raise self.problem(
                problem, "UTF-8 text", f"{GET_AGAIN}, or save it as UTF-8"
            ) from error
        return io.StringIO(text, newline=None).read()


def read_rows(file: DataFile, columns: Columns) -> list[Row]:
    """Return the rows of a file by the declared columns' names; blank rows are skipped.

    Raises:
        RimError: The bytes are not of that format; it names the file, the row and the next step.
    """
    try:
        rows = [_rename(row, columns) for row in _READERS[columns.format](file, columns)]
        for number, row in enumerate(rows, 1):
            _refuse_unreadable(file, row, number)
    except RecursionError as error:
        expected = "one flat JSON object a row"
        raise file.problem("values in values too deep", expected, GET_AGAIN) from error
    return rows


def _rename(row: Row, columns: Columns) -> Row:
    """Give columns their declared names where only case or white space around them differ."""

    def key(name: str) -> str:
        return name.strip().casefold()

    names = (*columns.required, *columns.labels)
    absent = {key(name): name for name in names if name not in row}
    renamed = {absent.get(key(name), name): value for name, value in row.items()}
    return renamed if len(renamed) == len(row) else row


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(inner)


def _refuse_unreadable(file: DataFile, row: Row, number: int) -> None:
    for column, value in row.items():
        matches = filter(None, map(_UNREADABLE.search, _texts([column, value])))
        if (match := next(matches, None)) is None:
            continue
        what, step = "half of a surrogate pair", "mend that row"
        if match[0] == "\0":
            what = "a NUL character"
        elif "\udc80" <= match[0] <= "\udcff":
            what = f"a byte that is not UTF-8 (0x{ord(match[0]) - 0xDC00:X})"
            step = f'save the file as UTF-8 (Excel: "CSV UTF-8"), or {GET_AGAIN}'
        problem = f"column {column[:40]!r} holds {what}"
        raise file.problem(problem, "Unicode text", step, row=number)


def _csv(file: DataFile, columns: Columns) -> list[Row]:
    text = file.text().lstrip("\n")
    headerless = columns.format == "csv_headerless"
    # A cell may be as long as the file; the module's own limit is 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    delimiter = "," if headerless else _delimiter(text, columns)
    lines = _cells(file, text, delimiter, headerless=headerless)
    header = [columns.prompt] if headerless else next(lines, [])
    for name, count in Counter(filter(str.strip, header)).items():
        if count > 1:
            problem = f"the column {name!r} stands twice in the header"
            raise file.problem(problem, "every column name once", "rename or remove one")
    row = partial(_row, file, columns, header)
    rows = [row(number, cells) for number, cells in enumerate(lines, 1)]
    first = rows[0][columns.prompt].strip() if headerless and rows else ""
    if first.casefold() in _HEADER_WORDS:
        raise file.problem(
            f"the first row is a header ({first!r})",
            "no header: the first row is a prompt",
            "remove that row, or get the publisher's file again",
            row=1,
        )
    return rows


def _cells(file: DataFile, text: str, delimiter: str, *, headerless: bool) -> Iterator[list[str]]:
    """The cells of each line that has any; strict, because a wrong quote swallows prompts in silence."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    number = int(headerless)
    try:
        for cells in reader:
            if any(map(str.strip, cells)) or (headerless and cells):
                yield cells
                number += 1
    except csv.Error as error:
        problem, step = (
            "text after the closing double quote of a cell",
            'write a quote inside a cell as ""',
        )
        if "unexpected end" in str(error):
            problem, step = "a double quote is opened and never closed", f"close it, or {step}"
        expected = "every cell that begins with a double quote to end with one"
        raise file.problem(problem, expected, step, row=number or None) from error


def _row(file: DataFile, columns: Columns, header: list[str], number: int, cells: list[str]) -> Row:
    if [cell.lstrip("\ufeff") for cell in cells] == header and len(header) > 1:
        expected, step = "one header, at the top", "remove that row, where two files were joined"
        raise file.problem("the header again", expected, step, row=number)
    if len(cells) != len(header):
        problem = f"{len(cells)} cells in the row, {len(header)} in the header"
        mark = "comma" if len(cells) > len(header) else "line break"
        expected, step = f"prompts that hold a {mark} in double quotes", "quote that cell"
        if columns.format == "csv_headerless":
            problem, expected = f"{len(cells)} columns", f"one column, with {expected}"
        raise file.problem(problem, expected, f"{step}, or {GET_AGAIN}", row=number)
    return dict(zip(header, cells, strict=True))


def _delimiter(text: str, columns: Columns) -> str:
    """The delimiter by which the header holds the prompt's column; a comma where none does."""
    for delimiter in _DELIMITERS:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        if columns.prompt in _rename(dict.fromkeys(header), columns):
            return delimiter
    return ","


def _json(file: DataFile, columns: Columns) -> list[Row]:
    """JSON lines, one array, or one object that holds the array."""
    expected, step = "one JSON object a row", f"{GET_AGAIN}, or mend that row"
    text = file.text().strip()
    try:
        document = _loads(text)
        rows: list[Any] = document if isinstance(document, list) else _wrapped(document, columns)
    except ValueError as error:
        if text.startswith("["):
            raise file.problem(f"not JSON ({error})", expected, step) from error
        rows = []
        for number, line in enumerate(filter(str.strip, text.split("\n")), 1):
            try:
                rows.append(_loads(line))
            except ValueError as line_error:
                # Its words are the parser's own, without the row's text.
                expected += f" ({line_error})"
                raise file.problem("not JSON", expected, step, row=number) from line_error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise file.problem(f"a JSON {type(row).__name__}", expected, step, row=number)
    return rows


def _loads(text: str) -> Any:
    """A JSON value; NaN, with which programs write a missing number, is null."""
    return json.loads(text, parse_constant=lambda _: None, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> Row:
    if len(row := dict(pairs)) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return row


def _wrapped(document: Any, columns: Columns) -> list[Any]:
    """The rows of `{"data": [{...}, ...]}`, whatever the key, or of all keys; anything else is one row."""
    values = document.values() if isinstance(document, dict) else ()
    if columns.format == "json_groups":
        return [row for group in values for row in (group if isinstance(group, list) else [group])]
    tables = [v for v in values if isinstance(v, list) and v and isinstance(v[0], dict)]
    is_row = len(tables) != 1 or columns.prompt in _rename(document, columns)
    return [document] if is_row else tables[0]


def load_yaml(text: str) -> Any:
    """Return the value of a YAML text. Nothing is constructed but lists, mappings, texts, numbers and null.

    Args:
        text: YAML 1.2, in which a value may stand for another (`*name`) as long as nothing is nested in this way, so
            that a small text cannot become a huge value.

    Raises:
        ValueError: It is not such a text; the message quotes none of it.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        _refuse_nested_references(YAML(typ="safe", pure=True).parse(text))
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(f"not valid YAML{f' in line {mark.line + 1}' if mark else ''}") from error


def _refuse_nested_references(events: Iterable[Any]) -> None:
    """Refuse a reference within a value that is itself referred to, and too many of them."""
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

    named, references = list[bool](), 0
    for event in events:
        if isinstance(event, CollectionStartEvent):
            named.append(event.anchor is not None)
        elif isinstance(event, CollectionEndEvent):
            named.pop()
        elif isinstance(event, AliasEvent):
            references += 1
            if any(named) or references > _MOST_REFERENCES:
                raise ValueError("too many references (`*name`), or one within another")


def _yaml(file: DataFile, _columns: Columns) -> list[Row]:
    expected, step = "a list of mappings, or one mapping", f"{GET_AGAIN}, or mend it"
    if len(file.content) > _MAX_YAML_BYTES:
        raise file.problem(
            f"larger than {_MAX_YAML_BYTES} bytes", "a small YAML file", "give JSON lines"
        )
    try:
        document = load_yaml(file.text())
    except ValueError as error:
        raise file.problem(str(error), expected, step) from error
    rows: list[Any] = document if isinstance(document, list) else [document]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not all(isinstance(key, str) for key in row):
            raise file.problem("not a mapping with names for keys", expected, step, row=number)
    return rows


def _lines(file: DataFile, columns: Columns) -> list[Row]:
    return [{columns.prompt: line} for line in file.text().split("\n") if line.strip()]


def _text(file: DataFile, columns: Columns) -> list[Row]:
    return [{columns.prompt: file.text()}]


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
    "json_groups": _json,
    "lines": _lines,
    "parquet": _parquet,
    "text": _text,
    "yaml": _yaml,
}
