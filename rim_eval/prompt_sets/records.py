"""Read and check the prompts of a set's files: columns, values, counts, checksums."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.prompt_sets.derivations import derive
from rim_eval.prompt_sets.formats import GET_AGAIN, DataFile, Row, read_rows
from rim_eval.prompt_sets.prompts import Prompt, prompt_id
from rim_eval.prompt_sets.registry import Columns, PromptSet, SourceFile
from rim_eval.prompt_sets.sources import SetFile
from rim_eval.types import FrozenModel

_ID: Final = re.compile(r"[\w.-]{1,64}")


class FileRecord(FrozenModel):
    """One file that was read, as results name it."""

    name: str
    sha256: str
    rows: int


class CheckedFiles(NamedTuple):
    """What the files of a set hold, once they passed their checks."""

    prompts: list[Prompt]
    """Without their contrast partners."""
    pair_keys: list[str | None]
    """The value of each prompt in the column that pairs prompts."""
    files: tuple[FileRecord, ...]


def read_set(entry: PromptSet, files: tuple[SetFile, ...]) -> CheckedFiles:
    """Read and check all files of a set.

    Raises:
        RimError: A file is not as it should be; the message names the set, the file, the row, what
            is wrong, what was expected, and the next step.
    """
    prompts: list[Prompt] = []
    pair_keys: list[str | None] = []
    own_ids: set[str] = set()
    by_checksum: dict[str, FileRecord] = {}
    for declared, content, _ in files:
        file = DataFile(entry.name, declared.name, content)
        columns = declared.columns or entry.columns
        rows = read_rows(file, columns)
        for number, row in enumerate(rows, 1):
            reader = _RowReader(entry, declared, file, columns, row, number)
            if not reader.is_of_set():
                continue
            prompts.append(reader.prompt())
            if columns.id and prompts[-1].id in own_ids:
                raise file.problem(
                    f"column {columns.id!r} holds {prompts[-1].id!r} for a second time",
                    "an id of its own in every row",
                    "change one, or leave the ids out: they are then made from the content",
                    row=number,
                )
            own_ids.add(prompts[-1].id)
            pair_keys.append(reader.text(columns.pair))
        record = record_file(file, declared, len(rows), entry.expected_rows(declared), by_checksum)
        by_checksum[record.sha256] = record
    if entry.derivation:
        prompts, pair_keys = _derived(entry, prompts, pair_keys)
    if entry.leaves_out and len(prompts) != entry.count:
        raise RimError(
            f"{entry.name}: {', '.join(file.declared.name for file in files)}: {len(prompts)} prompts are of "
            f"this set; expected {entry.count}.\nNext: get the publisher's file unchanged."
        )
    counts = Counter(prompt.subset for prompt in prompts)
    for name, subset in entry.subsets.items():
        if counts[name] != subset.count:
            every_name = ", ".join(file.declared.name for file in files)
            raise RimError(
                f"{entry.name}: {every_name}: {counts[name]} rows are of the subset {name}; "
                f"expected {subset.count}.\nNext: get the publisher's file unchanged."
            )
    prompts = _number_repeats(prompts, pair_keys)
    return CheckedFiles(prompts, pair_keys, tuple(by_checksum.values()))


def _derived(
    entry: PromptSet, prompts: list[Prompt], pair_keys: list[str | None]
) -> tuple[list[Prompt], list[str | None]]:
    """The prompts that a set makes of those in its files, and their pair keys; some may give none."""
    assert entry.derivation
    made = [derive(prompt, entry.derivation, entry.name) for prompt in prompts]
    both = [(one, key) for one, key in zip(made, pair_keys, strict=True) if one]
    return [one for one, _ in both], [key for _, key in both]


def record_file(
    file: DataFile,
    declared: SourceFile,
    rows: int,
    expected: int | None,
    earlier: Mapping[str, FileRecord],
) -> FileRecord:
    """Check a file that was read against what is declared of it.

    Args:
        file: Its name and bytes.
        declared: What is known of the published file.
        rows: How many rows it has.
        expected: How many it must have; None where that is not known.
        earlier: The set's other files so far, by checksum.

    Raises:
        RimError: It has another count or checksum, or the content of another file.
    """
    if expected is not None and rows != expected:
        problem, step = f"{rows} rows", "get the publisher's file unchanged"
        if rows == expected - 1:
            problem += " (was the first prompt taken for a header when the file was made?)"
        if rows:
            step += "; or run it as a file of your own (rim_eval/prompts)"
        raise file.problem(problem, f"{expected} rows", step)
    digest = hashlib.sha256(file.content).hexdigest()
    if declared.sha256 not in (None, digest):
        raise file.problem(
            f"SHA-256 is {digest}",
            f"{declared.sha256}, the published file",
            "get the file again (an editor or git may have changed its line ends; a damaged "
            "download may lie in the cache), or load yours as a file of your own",
        )
    if digest in earlier:  # the count is right then, and the prompts are not
        problem, step = (
            f"the same content as {earlier[digest].name}",
            "give each file once, as its publisher has it",
        )
        raise file.problem(problem, "a file of its own", step)
    return FileRecord(name=file.name, sha256=digest, rows=rows)


def _number_repeats(prompts: list[Prompt], pair_keys: list[str | None]) -> list[Prompt]:
    """Give repeated prompts the ids `…-2`, `…-3`, ....

    Which of several equal prompts is the first is decided by their other fields, never by their
    place in a file, so that a shuffled copy gives the same ids.
    """

    def order(index: int) -> tuple[str, ...]:
        prompt = prompts[index]
        fields = (prompt.id, prompt.subset, prompt.target, prompt.category, pair_keys[index])
        return tuple(field or "" for field in fields)

    numbered, times = list(prompts), Counter[str]()
    for index in sorted(range(len(prompts)), key=order):
        prompt = prompts[index]
        times[prompt.id] += 1
        if (number := times[prompt.id]) > 1:
            numbered[index] = prompt.model_copy(update={"id": f"{prompt.id}-{number}"})
    return numbered


@dataclass(frozen=True)
class _RowReader:
    """Gives a row's columns their meaning, and checks each value."""

    entry: PromptSet
    declared: SourceFile
    file: DataFile
    columns: Columns
    row: Row
    number: int

    def is_of_set(self) -> bool:
        """Whether the row is one that the set's columns take in, once it has all of them."""
        columns = self.columns
        for column in columns.required:
            if column not in self.row:
                raise self._problem(
                    f"no column {column!r} among {', '.join(map(repr, self.row))}",
                    f"the columns {', '.join(columns.required)}",
                    "check that this is the right file and that its first line is the header, or name the column (`prompt_column=NAME`)",
                )
        return all(self.text(column) in values for column, values in columns.only.items())

    def prompt(self) -> Prompt:
        columns = self.columns
        subset, text, context = self._subset(), self._request(), self.text(columns.context)
        name = self.entry.folder if self.entry.derivation else self.entry.name
        labels: dict[str, str] = {}
        for column in columns.labels:
            value = self.row.get(column)
            pairs = value.items() if isinstance(value, dict) else [(column, value)]
            labels |= {str(key): str(label) for key, label in pairs if label is not None}
        return Prompt(
            id=self._own_id() or prompt_id(name, text, context),
            set=name,
            kind=(subset and self.entry.subsets[subset].kind) or self.entry.kind,
            text=text,
            category=self.text(columns.category) or self.declared.category,
            subset=subset,
            context=context,
            target=self._target(),
            labels=labels,
        )

    def text(self, column: str | None) -> str | None:
        """Return the text in a column, None where it is empty."""
        value: Any = self.row.get(column) if column else None
        return None if value is None else str(value).strip() or None

    def _request(self) -> str:
        column = self.columns.prompt
        value = self.row[column]
        # SORRY-Bench holds its one user turn in a list, chat files a message.
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and value.get("role") == "user":
            value = value.get("content")
        if not isinstance(value, str):
            kind = "null" if value is None else f"a {type(value).__name__}"
            kind += f" of {len(value)}" if isinstance(value, list) else ""
            expected, step = "text, or a list of one text or user message", "mend that row"
            raise self._problem(f"the prompt is {kind} (column {column!r})", expected, step)
        text = value.replace("\r\n", "\n").strip()
        if not text:
            expected, step = "a prompt in every row", f"{GET_AGAIN}, or remove that row"
            raise self._problem(f"the prompt is empty (column {column!r})", expected, step)
        return text

    def _own_id(self) -> str | None:
        column = self.columns.id
        value = self.text(column)
        if column and not (value and _ID.fullmatch(value)):
            problem = f"column {column!r} holds no id"
            expected = (
                "1 to 64 letters, digits, dots, dashes and underscores, for ids stand in results"
            )
            raise self._problem(problem, expected, "mend that row")
        return value

    def _subset(self) -> str | None:
        column = self.columns.subset
        if not column:
            return self.declared.subset
        value = self.text(column)
        by_value = {subset.value or name: name for name, subset in self.entry.subsets.items()}
        if value not in by_value:
            raise self._problem(f"column {column!r} is {value!r}", f"one of {', '.join(by_value)}")
        return by_value[value]

    def _target(self) -> str | None:
        column, pattern = self.columns.target, self.columns.target_pattern
        value = self.text(column)
        if column and value is None:
            raise self._problem("the gold answer is empty", f"an answer in the column {column!r}")
        if value is None or not pattern:
            return value
        match = re.search(pattern, value)
        if match is None:
            problem = f"no gold answer in the column {column!r}"
            raise self._problem(problem, f"a text that matches {pattern}")
        return match.group(1).strip()

    def _problem(self, problem: str, expected: str, step: str = GET_AGAIN) -> RimError:
        return self.file.problem(problem, expected, step, row=self.number)
