"""Load prompts, of a registered set or of a user's own file: ids, partners, and where they came from."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from rim_eval.errors import AccessError, RimError
from rim_eval.prompt_sets.formats import DataFile, read_rows
from rim_eval.prompt_sets.ids import PartnerKeys, assign_ids, ids_by_key, partners, prompt_id
from rim_eval.prompt_sets.records import CheckedFiles, FileRecord, read_set
from rim_eval.prompt_sets.registry import (
    Columns,
    Format,
    PromptSet,
    SameKeyPairing,
    SourceFile,
    UserSource,
)
from rim_eval.prompt_sets.registry import entry as find_entry
from rim_eval.prompt_sets.sources import SetFiles, as_declared, declared_revision, obtain
from rim_eval.types import PROMPT_KINDS, PromptKind


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Prompt(_Model):
    """One prompt. Its id is all that observations, cards and leaderboards ever see of it."""

    id: str
    """`<set>-<12 hex digits>` from the text and context: opaque, and the same from any source."""
    set: str
    kind: PromptKind
    text: str
    category: str | None = None
    subset: str | None = None
    context: str | None = None
    target: str | None = None
    """Gold answer of a reasoning problem."""
    pair: str | None = None
    """Id of the contrast partner: a benign look-alike, or the harmful one that it looks like."""
    labels: dict[str, str] = {}


class Provenance(_Model):
    """Where prompts came from, as exactly as it is known."""

    source: Literal["publisher", "local", "shipped", "user"]
    location: str
    """Repository, folder or file."""
    revision_declared: str | None = None
    revision_used: str | None = None
    """Commit that the files came from; none for local files and for a branch."""
    files: tuple[FileRecord, ...]


class LoadedSet(_Model):
    """A set that passed its checks."""

    entry: PromptSet
    prompts: tuple[Prompt, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()
    """What a reader of results should know: repeated prompts, another count, partners not found."""


def load_prompts(
    name: str,
    *,
    data: str | Path | None = None,
    subset: str | None = None,
    allow_count: bool = False,
) -> LoadedSet:
    """Load a prompt set and check it: columns, counts, checksums, empty prompts.

    Shipped sets come with the package. Others come from `data` when it is given; else from the
    folder in `RIM_EVAL_DATA` when that holds the set; else from the publisher.

    Args:
        name: The set, as in `rim-eval data list`.
        data: Local folder (`<folder>/<set>/<file>`, or the set's own files), or a set's one file.
        subset: One subset, several with commas between them, or `all`; unless given, the set's
            own default (HarmBench without its copyright cases).
        allow_count: Accept files with more or fewer rows than the published ones; it is noted.

    Raises:
        AccessError: The set is gated, not in the folder, or its publisher cannot be reached.
        RimError: There is no such set or subset, or a file is not as it should be.
    """
    entry = find_entry(name)
    subsets = () if subset == "all" else entry.default_subsets
    if subset not in (None, "all"):
        subsets = tuple(part.strip() for part in str(subset).split(","))
    if unknown := [part for part in subsets if part not in entry.subsets]:
        allowed = ", ".join([*entry.subsets, "all"])
        raise RimError(f"{name} has no subset {unknown[0]!r}. Allowed: {allowed}.")
    folder = Path(data).expanduser() if data is not None else None

    def keys_of(partner: str) -> dict[str, str]:
        other = find_entry(partner)
        files = obtain(other, folder).files
        records = read_set(other, files, allow_count=allow_count).records
        return ids_by_key(other, records, assign_ids(partner, records))

    files = obtain(entry, folder)
    checked = read_set(entry, files.files, allow_count=allow_count)
    return _build(entry, files, checked, subsets, keys_of)


def _build(
    entry: PromptSet,
    files: SetFiles,
    checked: CheckedFiles,
    subsets: Sequence[str] = (),
    keys_of: PartnerKeys = lambda _: {},
) -> LoadedSet:
    """Ids and partners are found over the whole set, so that they do not depend on the subset."""
    records, notes = checked.records, list(checked.notes)
    ids = assign_ids(entry.name, records)
    if repeats := len(ids) - len({prompt_id("", one.text, one.context) for one in records}):
        notes.append(f"{repeats} prompts repeat another one; their ids end in -2, -3, ...")
    pairs: list[str | None] = [None] * len(ids)
    try:
        pairs = partners(entry, records, ids, keys_of)
    except AccessError as error:
        notes.append(f"no contrast pairs: {str(error).splitlines()[0]}")
    prompts = []
    for record, own_id, pair in zip(records, ids, pairs, strict=True):
        if not subsets or record.subset in subsets:
            fields = record._asdict()
            del fields["pair_key"]
            prompts.append(Prompt(id=own_id, set=entry.name, pair=pair, **fields))
    provenance = Provenance(
        source=files.source,
        location=files.location,
        revision_declared=declared_revision(entry),
        revision_used=files.revision,
        files=checked.files,
    )
    return LoadedSet(entry=entry, prompts=tuple(prompts), provenance=provenance, notes=tuple(notes))


# ---- a user's own file ----

_FORMATS: Final[dict[str, Format]] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".txt": "lines",
}
_JUDGES: Final[dict[PromptKind, str]] = {"harmful": "hexphi", "benign": "refusal"}


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
    try:
        data = DataFile(set_name, file.name, file.read_bytes())
    except OSError as error:
        raise RimError(f"cannot read {file}: {error.strerror}. Give the path of a file.") from error
    rows = len(read_rows(data, columns))
    if not rows:
        raise RimError(f"{file} holds no prompts. Expected: one prompt a row.")
    entry = PromptSet(
        name=set_name,
        title=file.name,
        kind=kind,
        judge=_JUDGES.get(kind),
        count=rows,
        licence="your own",
        citation="",
        homepage=str(file),
        source=UserSource(type="user", path=str(file)),
        files=(SourceFile(path=file.name),),
        columns=columns,
        pairing=SameKeyPairing(rule="same_key") if columns.pair else None,
    )
    files = SetFiles(
        (as_declared(entry, entry.files[0], data.content),), source="user", location=str(file)
    )
    return _build(entry, files, read_set(entry, files.files))
