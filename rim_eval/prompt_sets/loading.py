"""Load prompts, of a registered set or of a user's own file: ids, partners, and where they came from."""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from rim_eval.errors import AccessError, RimError
from rim_eval.prompt_sets import registry
from rim_eval.prompt_sets.formats import DataFile, read_rows
from rim_eval.prompt_sets.prompts import Prompt, prompt_id
from rim_eval.prompt_sets.records import CheckedFiles, FileRecord, read_set
from rim_eval.prompt_sets.registry import Columns, PromptSet, SourceFile
from rim_eval.prompt_sets.sources import SetFile, SetFiles, join_revisions, obtain
from rim_eval.types import PROMPT_KINDS, FrozenModel, PromptKind

_LOGGER = logging.getLogger(__name__)

_MAX_GROUPS: Final = 10
"""Of repeated prompts that are named."""


class Provenance(FrozenModel):
    """Where prompts came from, as exactly as it is known."""

    source: Literal["publisher", "local", "shipped", "user"]
    location: str
    """Repository, folder or file."""
    revision_declared: str | None = None
    revision_used: str | None = None
    """Commit that the files came from; none for local files."""
    files: tuple[FileRecord, ...]


class LoadedSet(FrozenModel):
    """A set that passed its checks."""

    entry: PromptSet
    prompts: tuple[Prompt, ...]
    provenance: Provenance
    notes: tuple[str, ...] = ()
    """What a reader of results should know: repeated prompts, partners not found."""


def load_prompts(
    name: str, *, data: str | Path | None = None, subset: str | None = None
) -> LoadedSet:
    """Load a prompt set and check it: columns, counts, checksums, empty prompts.

    Shipped sets come with the package. Others come from `data` when it is given; else from the
    folder in `RIM_EVAL_DATA` when that holds the set; else from the publisher.

    Args:
        name: The set, as in `rim-eval data list`.
        data: Local folder (`<folder>/<set>/<file>`, or the set's own files), or a set's one file.
        subset: One subset, several with commas between them, or `all`; unless given, the set's
            own default (HarmBench without its copyright cases).

    Raises:
        AccessError: The set is gated, not in the folder, or its publisher cannot be reached.
        RimError: There is no such set or subset, or a file is not as it should be.
    """
    entry = registry.entry(name)
    subsets = entry.subsets_named(subset)
    folder = Path(data).expanduser() if data is not None else None
    return _build(entry, obtain(entry, folder), folder, subsets)


def _build(
    entry: PromptSet, files: SetFiles, data: Path | None = None, subsets: Sequence[str] = ()
) -> LoadedSet:
    checked = read_set(entry, files.files)
    prompts, notes = checked.prompts, [file.note for file in files.files if file.note]
    if repeats := _repeats(prompts, name_rows=files.source == "user"):
        notes.append(repeats)
    # Over the whole set, so that partners do not depend on the subset.
    partners: Sequence[str | None] = [None] * len(prompts)
    try:
        partners = _partners(entry, checked, data)
    except AccessError as error:
        notes.append(f"no contrast pairs: {str(error).splitlines()[0]}")
    return LoadedSet(
        entry=entry,
        prompts=tuple(
            prompt.model_copy(update={"pair": partner})
            for prompt, partner in zip(prompts, partners, strict=True)
            if not subsets or prompt.subset in subsets
        ),
        provenance=Provenance(
            source=files.source,
            location=files.location,
            revision_declared=join_revisions(
                getattr(source, "revision", None) for source in entry.sources
            ),
            revision_used=files.revision,
            files=checked.files,
        ),
        notes=tuple(notes),
    )


def _repeats(prompts: Sequence[Prompt], *, name_rows: bool) -> str | None:
    """How many prompts differ from another in nothing but white space and Unicode form, and where."""
    rows: defaultdict[str, list[str]] = defaultdict(list)
    for row, prompt in enumerate(prompts, 1):
        rows[prompt_id("", prompt.text, prompt.context)].append(str(row))
    if not (count := len(prompts) - len(rows)):
        return None
    groups = [", ".join(group) for group in rows.values() if len(group) > 1]
    more = "; ..." if len(groups) > _MAX_GROUPS else ""
    where = f" (rows {'; '.join(groups[:_MAX_GROUPS])}{more})" if name_rows else ""
    says = "1 prompt repeats" if count == 1 else f"{count} prompts repeat"
    return f"{says} another one{where}; their ids end in -2, -3, ..."


def _partners(entry: PromptSet, checked: CheckedFiles, data: Path | None) -> list[str | None]:
    """Id of each prompt's contrast partner, None where it has none."""
    prompts, keys, pairing = checked.prompts, checked.pair_keys, entry.pairing
    if pairing is None:
        return [None] * len(prompts)
    if isinstance(pairing, registry.OffsetPairing):
        by_key = _ids_by_key(entry, checked)
        subsets = {prompt.id: prompt.subset for prompt in prompts}
        partners: list[str | None] = []
        for prompt, key in zip(prompts, keys, strict=True):
            other = by_key.get(str(int(key or 0) + pairing.offsets[prompt.subset or ""]))
            partners.append(other if other and subsets[other] != prompt.subset else None)
        return partners
    if pairing.partner:
        partner = registry.entry(pairing.partner)
        by_key = _ids_by_key(partner, read_set(partner, obtain(partner, data).files))
        return [by_key.get(key or "") for key in keys]
    groups: defaultdict[str | None, list[str]] = defaultdict(list)
    for prompt, key in zip(prompts, keys, strict=True):
        groups[key].append(prompt.id)
    pairs = [group for key, group in groups.items() if key and len(group) == 2]
    partner_of = {one: other for pair in pairs for one, other in (pair, reversed(pair))}
    return [partner_of.get(prompt.id) for prompt in prompts]


def _ids_by_key(entry: PromptSet, checked: CheckedFiles) -> dict[str, str]:
    """Prompt ids by the value of the pair column."""
    ids: dict[str, str] = {}
    for prompt, key in zip(checked.prompts, checked.pair_keys, strict=True):
        if key in ids:
            raise RimError(
                f"{entry.name}: two rows have {key!r} in the column "
                f"{entry.columns.pair!r}, which pairs prompts; each value may stand once."
            )
        if key is not None:
            ids[key] = prompt.id
    return ids


# ---- a user's own file ----

_FORMATS: Final[dict[str, registry.Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
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
    id_column: str | None = None,
    category_column: str | None = None,
    context_column: str | None = None,
    target_column: str | None = None,
    pair_column: str | None = None,
    label_columns: Sequence[str] = (),
) -> LoadedSet:
    """Load a file of your own prompts. Ids come from the content unless the file has its own.

    Args:
        path: `.csv` (with a header), `.jsonl`, `.json`, `.parquet`, or `.txt` (a prompt a line).
        kind: What the prompts ask: `harmful`, `benign` or `reasoning`.
        name: What the set is called in results; the file's name unless given.
        prompt_column: Column of the prompt.
        id_column: Column of your own ids, which then stand in results in place of ids from the content.
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
        id=id_column,
        category=category_column,
        context=context_column,
        target=target_column,
        pair=pair_column,
        labels=tuple(label_columns),
    )
    set_name = re.sub(r"[^a-z0-9]+", "_", (name or file.stem).lower()).strip("_") or "prompts"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RimError(f"cannot read {file}: {error.strerror}. Give the path of a file.") from error
    if not (count := len(read_rows(DataFile(set_name, file.name, content), columns))):
        raise RimError(f"{file} holds no prompts. Expected: one prompt a row.")
    declared = SourceFile(path=file.name)
    entry = PromptSet(
        name=set_name,
        title=file.name,
        kind=kind,
        judge=_JUDGES.get(kind),
        count=count,
        licence="your own",
        citation="",
        homepage=str(file),
        source=registry.FileSource(type="user"),
        files=(declared,),
        columns=columns,
        pairing=registry.SameKeyPairing(rule="same_key") if columns.pair else None,
    )
    loaded = _build(entry, SetFiles((SetFile(declared, content),), "user", str(file)))
    for note in loaded.notes:
        _LOGGER.warning(f"{file.name}: {note}")
    return loaded
