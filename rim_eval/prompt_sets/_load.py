"""Loading a set of the catalogue: from the package, a local folder, or its publisher."""

import os
from pathlib import Path

from rim_eval.errors import RimError
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets import _local, _publisher
from rim_eval.prompt_sets._build import build
from rim_eval.prompt_sets._check import Checked, check
from rim_eval.prompt_sets._entries import entry as find_entry
from rim_eval.prompt_sets._fetched import Batch, as_declared
from rim_eval.prompt_sets._ids import assign_ids
from rim_eval.prompt_sets._pairs import by_key
from rim_eval.prompt_sets._prompt import LoadedSet
from rim_eval.prompt_sets._schema import PromptSet, ShippedSource

__all__ = ["load"]


def load(
    name: str,
    *,
    data: str | Path | None = None,
    subset: str | None = None,
    allow_count: bool = False,
) -> LoadedSet:
    """Loads a set of the catalogue and checks it: columns, counts, checksums, empty prompts.

    Shipped sets come with the package. Others come from `data` when it is given; else from the
    folder in `RIM_EVAL_DATA` when that holds the set; else from the publisher.

    Args:
        name: The set, as in `rim-eval data list`.
        data: Local folder (`<folder>/<set>/<file>`, or the set's own files), or a set's one file.
        subset: One subset, several with commas between them, or `all`; unless given, the set's
            own default (HarmBench without its copyright cases).
        allow_count: Accept files with more or fewer rows than the published ones; it is noted.

    Raises:
        AccessError: the set is gated, not in the folder, or its publisher cannot be reached.
        RimError: no such set or subset, or a file that is not as it should be.
    """
    entry = find_entry(name)
    subsets = _subsets(entry, subset)
    folder = Path(data).expanduser() if data is not None else None

    def checked(one: PromptSet) -> Checked:
        return check(one, _obtain(one, folder), allow_count=allow_count)

    def keys_of(partner: str) -> dict[str, str]:
        found = checked(find_entry(partner))
        return by_key(found.entry, found.drafts, assign_ids(partner, found.drafts))

    return build(checked(entry), subsets, keys_of)


def _subsets(entry: PromptSet, asked: str | None) -> tuple[str, ...]:
    if asked is None:
        return entry.default_subsets
    if asked == "all":
        return ()
    names = tuple(name.strip() for name in asked.split(","))
    if unknown := [name for name in names if name not in entry.subsets]:
        allowed = ", ".join([*entry.subsets, "all"])
        raise RimError(f"{entry.name} has no subset {unknown[0]!r}. Allowed: {allowed}.")
    return names


def _obtain(entry: PromptSet, data: Path | None) -> Batch:
    if isinstance(entry.source, ShippedSource):
        if data is not None:
            _local.require(entry, data)
        return _shipped(entry)
    if data is not None:
        if batch := _local.find(entry, data):
            return batch
        raise _local.missing(entry, data)
    variable = os.environ.get(_local.DATA_VARIABLE)
    if variable and (batch := _local.find(entry, Path(variable).expanduser())):
        return batch
    return _publisher.fetch(entry)


def _shipped(entry: PromptSet) -> Batch:
    folder = tasks_dir() / entry.name
    files = tuple(
        as_declared(entry, file, (folder / file.path).read_bytes()) for file in entry.files
    )
    return Batch(files, source="shipped", location=f"tasks/{entry.name}")
