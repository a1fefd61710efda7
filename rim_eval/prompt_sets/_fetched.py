"""A file in hand, with what it was expected to be: what local folders and publishers both give."""

from dataclasses import dataclass
from typing import Literal

from rim_eval.prompt_sets._schema import Columns, LocalFile, PromptSet, Sha256, SourceFile

__all__ = ["Batch", "Fetched", "as_declared", "as_stand_in"]


@dataclass(frozen=True)
class Fetched:
    """One file."""

    declared: SourceFile
    name: str
    content: bytes
    columns: Columns
    rows: int
    """Rows it must hold."""
    sha256: Sha256 | None
    note: str = ""


@dataclass(frozen=True)
class Batch:
    """All files of a set, from one place."""

    files: tuple[Fetched, ...]
    source: Literal["publisher", "local", "shipped", "user"]
    location: str
    revision: str | None = None


def as_declared(entry: PromptSet, file: SourceFile, content: bytes) -> Fetched:
    """A publisher's file."""
    return Fetched(
        declared=file,
        name=file.name,
        content=content,
        columns=file.columns or entry.columns,
        rows=entry.expected_rows(file),
        sha256=file.sha256,
    )


def as_stand_in(entry: PromptSet, file: SourceFile, local: LocalFile, content: bytes) -> Fetched:
    """A declared local file that stands for a publisher's file."""
    return Fetched(
        declared=file,
        name=local.name,
        content=content,
        columns=local.columns or file.columns or entry.columns,
        rows=local.rows or entry.expected_rows(file),
        sha256=local.sha256,
        note=local.note,
    )
