"""Load a prompt set: prompts with their ids and partners, and where exactly they came from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from rim_eval.errors import AccessError, RimError
from rim_eval.prompt_sets.ids import PartnerKeys, assign_ids, ids_by_key, partners, prompt_id
from rim_eval.prompt_sets.records import CheckedSet, FileRecord, Record, read_set
from rim_eval.prompt_sets.registry import PromptSet
from rim_eval.prompt_sets.registry import entry as find_entry
from rim_eval.prompt_sets.sources import declared_revision, obtain
from rim_eval.types import PromptKind


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
    subsets = _subsets(entry, subset)
    folder = Path(data).expanduser() if data is not None else None

    def read(one: PromptSet) -> CheckedSet:
        return read_set(one, obtain(one, folder), allow_count=allow_count)

    def keys_of(partner: str) -> dict[str, str]:
        other = read(find_entry(partner))
        return ids_by_key(other.entry, other.records, assign_ids(partner, other.records))

    return build(read(entry), subsets, keys_of)


def _subsets(entry: PromptSet, names: str | None) -> tuple[str, ...]:
    if names is None:
        return entry.default_subsets
    if names == "all":
        return ()
    subsets = tuple(name.strip() for name in names.split(","))
    if unknown := [name for name in subsets if name not in entry.subsets]:
        allowed = ", ".join([*entry.subsets, "all"])
        raise RimError(f"{entry.name} has no subset {unknown[0]!r}. Allowed: {allowed}.")
    return subsets


def build(checked: CheckedSet, subsets: Sequence[str], keys_of: PartnerKeys) -> LoadedSet:
    """Make prompts of a checked set's records.

    Ids and partners are found over the whole set before the subset is taken, so that they do not
    depend on which part was loaded.

    Args:
        checked: The set.
        subsets: Names to keep; all when empty.
        keys_of: Keys of the set that holds the partners.
    """
    entry, records = checked.entry, checked.records
    ids = assign_ids(entry.name, records)
    notes = [*checked.notes, *_note_repeats(records)]
    pairs: list[str | None] = [None] * len(ids)
    try:
        pairs = partners(entry, records, ids, keys_of)
    except AccessError as error:
        notes.append(f"no contrast pairs: {str(error).splitlines()[0]}")
    prompts = (
        _prompt(entry.name, *row)
        for row in zip(records, ids, pairs, strict=True)
        if not subsets or row[0].subset in subsets
    )
    return LoadedSet(
        entry=entry, prompts=tuple(prompts), provenance=_provenance(checked), notes=tuple(notes)
    )


def _prompt(name: str, record: Record, own_id: str, pair: str | None) -> Prompt:
    fields = record._asdict()
    del fields["pair_key"]
    return Prompt(id=own_id, set=name, pair=pair, **fields)


def _note_repeats(records: Sequence[Record]) -> list[str]:
    repeats = len(records) - len({prompt_id("", one.text, one.context) for one in records})
    return [f"{repeats} prompts repeat another one; their ids end in -2, -3, ..."] * bool(repeats)


def _provenance(checked: CheckedSet) -> Provenance:
    return Provenance(
        source=checked.files.source,
        location=checked.files.location,
        revision_declared=declared_revision(checked.entry),
        revision_used=checked.files.revision,
        files=checked.file_records,
    )
