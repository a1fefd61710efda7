"""Sets from a local folder, for machines without network and for gated sets.

Layout: `<folder>/<set>/<file>` with the publisher's file names, for any number of sets; or a folder
(or, for a set of one file, the file itself) given for one set alone. Other file names that are
known to go round are declared as `[[local]]` in the set's entry, with their own columns.
"""

from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from rim_eval.errors import RimError
from rim_eval.prompt_sets._access import MissingError, local_layout
from rim_eval.prompt_sets._fetched import Batch, Fetched, as_declared, as_stand_in
from rim_eval.prompt_sets._problem import problem
from rim_eval.prompt_sets._schema import PromptSet, ShippedSource, SourceFile

__all__ = ["DATA_VARIABLE", "find", "missing", "require"]

DATA_VARIABLE: Final = "RIM_EVAL_DATA"
"""Environment variable that names the data folder."""


def find(entry: PromptSet, data: Path) -> Batch | None:
    """The files of a set in a data folder; none when the folder holds no file of the set.

    Raises:
        RimError: when the folder does not exist, or holds only some of the set's files.
    """
    require(entry, data)
    if data.is_file():
        return _batch(entry, {data.name: data}, data)
    for folder in (data / entry.name, data):
        present = {path.name: path for path in folder.glob("*") if path.is_file()}
        if batch := _batch(entry, present, folder):
            return batch
    return None


def require(entry: PromptSet, data: Path) -> None:
    """Refuse a data folder that does not exist, for shipped sets too, which need none.

    Raises:
        RimError: There is no such file or folder.
    """
    if not data.exists():
        step = f"Set {DATA_VARIABLE} (or data=) to a folder that has {local_layout(entry)}."
        if isinstance(entry.source, ShippedSource):
            step = "This set comes with the package: leave data= out."
        raise RimError(f"{entry.name}: the data folder {data} does not exist. {step}")


def missing(entry: PromptSet, data: Path) -> MissingError:
    """The message of a folder that holds no file of a set."""
    others = [local.name for local in entry.local]
    also = f" Also accepted: {', '.join(others)}." if others else ""
    return MissingError(
        f"{entry.name}: no file of this set in {data}. Put it there as "
        f"{local_layout(entry)}.{also} The publisher's page: {entry.homepage}"
    )


def _batch(entry: PromptSet, present: dict[str, Path], folder: Path) -> Batch | None:
    found = {file.name: _read(entry, file, present) for file in entry.files}
    files = tuple(one for one in found.values() if one)
    if not files:
        return None
    if absent := [name for name, one in found.items() if not one]:
        raise problem(
            entry.name,
            ", ".join(absent),
            f"missing in {folder}",
            expected=f"{len(found)} files: {', '.join(found)}",
            step="copy the missing files there, or move the folder away to load from the publisher.",
        )
    _refuse_undeclared(entry, present, {one.name for one in files}, folder)
    return Batch(files=files, source="local", location=str(folder))


def _read(entry: PromptSet, file: SourceFile, present: dict[str, Path]) -> Fetched | None:
    if file.name in present:
        return as_declared(entry, file, present[file.name].read_bytes())
    for local in entry.local:
        if local.replaces == file.name and local.name in present:
            return as_stand_in(entry, file, local, present[local.name].read_bytes())
    return None


def _refuse_undeclared(
    entry: PromptSet, present: dict[str, Path], known: set[str], folder: Path
) -> None:
    if not entry.exclusive:
        return
    extra = sorted(name for name in set(present) - known if fnmatch(name, entry.exclusive))
    if extra:
        raise problem(
            entry.name,
            extra[0],
            f"not a file of this set, in {folder}",
            expected=f"no {entry.exclusive} but {', '.join(file.name for file in entry.files)}",
            step="move it out of the folder; it would not be the published set.",
        )
