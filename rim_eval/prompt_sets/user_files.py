"""Load a user's own prompts: CSV, JSON lines or array, Parquet, or one prompt a line."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rim_eval.errors import RimError
from rim_eval.prompt_sets.formats import DataFile, read_rows
from rim_eval.prompt_sets.loading import LoadedSet, build
from rim_eval.prompt_sets.records import read_set
from rim_eval.prompt_sets.registry import (
    Columns,
    Format,
    PromptSet,
    SameKeyPairing,
    SourceFile,
    UserSource,
)
from rim_eval.prompt_sets.sources import SetFiles, as_declared
from rim_eval.types import PROMPT_KINDS, PromptKind

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".txt": "lines",
}
_JUDGES: Final[dict[PromptKind, str | None]] = {
    "harmful": "hexphi",
    "benign": "refusal",
    "reasoning": None,
}


def load_prompt_file(
    path: str | Path,
    *,
    kind: PromptKind,
    name: str | None = None,
    prompt_column: str = "prompt",
    category_column: str | None = None,
    context_column: str | None = None,
    target_column: str | None = None,
    pair_column: str | None = None,
    label_columns: Sequence[str] = (),
) -> LoadedSet:
    """Load a file of your own prompts. Ids come from the content, as for every other set.

    Args:
        path: `.csv` (with a header), `.jsonl`, `.json`, `.parquet`, or `.txt` (a prompt a line).
        kind: What the prompts ask: `harmful`, `benign` or `reasoning`.
        name: What the set is called in results; the file's name unless given.
        prompt_column: Column of the prompt.
        category_column: Column of a category, for results by category.
        context_column: Column of a text that belongs before the prompt.
        target_column: Column of the gold answer; reasoning sets need one.
        pair_column: Column with the same value in the two prompts of a contrast pair.
        label_columns: Columns kept as labels, such as an id of your own.

    Raises:
        RimError: The file cannot be read or used; it names the file, row and column, and what is allowed.
    """
    file = Path(path).expanduser()
    if file.suffix.lower() not in _FORMATS:
        raise RimError(f"cannot read {file}: its name must end in {', '.join(_FORMATS)}.")
    if kind not in PROMPT_KINDS:
        raise RimError(f"kind is {kind!r}; allowed: {', '.join(PROMPT_KINDS)}.")
    if kind == "reasoning" and target_column is None:
        raise RimError("a reasoning file needs target_column, the column of the gold answers.")
    columns = Columns(
        format=_FORMATS[file.suffix.lower()],
        prompt=prompt_column,
        category=category_column,
        context=context_column,
        target=target_column,
        pair=pair_column,
        labels=tuple(label_columns),
    )
    set_name = re.sub(r"[^a-z0-9]+", "_", (name or file.stem).lower()).strip("_") or "prompts"
    content = _read_bytes(file)
    rows = len(read_rows(DataFile(set_name, file.name, content), columns))
    entry = _entry(set_name, kind, file, columns, rows)
    files = (as_declared(entry, entry.files[0], content),)
    checked = read_set(entry, SetFiles(files, source="user", location=str(file)))
    return build(checked, (), lambda _: {})


def _entry(name: str, kind: PromptKind, file: Path, columns: Columns, rows: int) -> PromptSet:
    """The entry that a registry would hold for the file."""
    if not rows:
        raise RimError(f"{file} holds no prompts. Expected: one prompt a row.")
    return PromptSet(
        name=name,
        title=file.name,
        kind=kind,
        judge=_JUDGES[kind],
        count=rows,
        licence="your own",
        citation="",
        homepage=str(file),
        source=UserSource(type="user", path=str(file)),
        files=(SourceFile(path=file.name),),
        columns=columns,
        pairing=SameKeyPairing(rule="same_key") if columns.pair else None,
    )


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RimError(f"cannot read {file}: {error.strerror}. Give the path of a file.") from error
