"""Checks the files of a set: columns and rows, counts, checksums."""

import hashlib
from dataclasses import dataclass

from rim_eval.prompt_sets._fetched import Batch, Fetched
from rim_eval.prompt_sets._formats import ReadFile, read_rows
from rim_eval.prompt_sets._problem import problem
from rim_eval.prompt_sets._prompt import FileRecord
from rim_eval.prompt_sets._records import Draft, drafts
from rim_eval.prompt_sets._schema import PromptSet

__all__ = ["Checked", "check"]


@dataclass(frozen=True)
class Checked:
    """The files of a set, read and found good."""

    entry: PromptSet
    batch: Batch
    drafts: tuple[Draft, ...]
    records: tuple[FileRecord, ...]
    notes: tuple[str, ...]


def check(entry: PromptSet, batch: Batch, *, allow_count: bool = False) -> Checked:
    """Reads all files of a set.

    Args:
        entry: The set.
        batch: Its files.
        allow_count: Note another count of rows instead of refusing it.

    Raises:
        RimError: naming the set, file, row, what was found and expected, and the next step.
    """
    found: list[Draft] = []
    records, notes = [], []
    for file in batch.files:
        content = ReadFile(entry.name, file.name, file.content)
        rows = read_rows(content, file.columns)
        read = drafts(entry, file.declared, content, file.columns, rows)
        notes += [_count(entry, file, len(read), allow_count), file.note]
        records.append(FileRecord(name=file.name, sha256=_sha256(entry, file), rows=len(read)))
        found += read
    _twins(entry, records)
    if not allow_count:
        _subset_counts(entry, batch, found)
    return Checked(entry, batch, tuple(found), tuple(records), tuple(filter(None, notes)))


def _twins(entry: PromptSet, records: list[FileRecord]) -> None:
    """Refuse one file under two names: the count is right then, and the prompts are not."""
    names: dict[str, str] = {}
    for record in records:
        first = names.setdefault(record.sha256, record.name)
        if first != record.name:
            raise problem(
                entry.name,
                record.name,
                f"the same content as {first}",
                expected="a file of its own",
                step="get both from the publisher again.",
            )


def _count(entry: PromptSet, file: Fetched, rows: int, allow_count: bool) -> str:
    if rows == file.rows:
        return ""
    found = f"{rows} rows"
    if rows and allow_count:
        return f"{file.name} has {found} where {file.rows} were expected"
    step = "get the publisher's file unchanged"
    if rows:
        step += "; or run it as a file of your own (rim_eval/prompts)"
    if rows == file.rows - 1:
        found += " (was the first prompt taken for a header when the file was made?)"
    raise problem(entry.name, file.name, found, expected=f"{file.rows} rows", step=step + ".")


def _subset_counts(entry: PromptSet, batch: Batch, found: list[Draft]) -> None:
    for name, subset in entry.subsets.items():
        count = sum(draft.subset == name for draft in found)
        if count != subset.count:
            raise problem(
                entry.name,
                ", ".join(file.name for file in batch.files),
                f"{count} rows are of the subset {name}",
                expected=str(subset.count),
                step="get the publisher's file unchanged.",
            )


def _sha256(entry: PromptSet, file: Fetched) -> str:
    digest = hashlib.sha256(file.content).hexdigest()
    if file.sha256 in (None, digest):
        return digest
    raise problem(
        entry.name,
        file.name,
        f"SHA-256 is {digest}",
        expected=f"{file.sha256}, the published file",
        step="get the file again (an editor or git may have changed its line ends; a damaged "
        "download may lie in the cache), or load yours as a file of your own.",
    )
