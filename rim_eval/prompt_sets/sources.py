"""Obtain the files of a prompt set: from the package, a local folder, or the publisher.

A local folder serves machines without network and gated sets. Its layout is `<folder>/<set>/<file>`
with the publisher's file names, for any number of sets; or a folder (or, for a set of one file, the
file itself) given for one set alone. Other files that are known to go round stand for the publisher's
where the set's entry declares them as `[[local]]`, with their own columns.
"""

import fnmatch
import os
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import ClassVar, Final, Literal, NamedTuple

from rim_eval.errors import AccessError, RimError
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets.download import (
    Download,
    GatedError,
    OfflineError,
    download_file,
    repository_url,
)
from rim_eval.prompt_sets.formats import DataFile
from rim_eval.prompt_sets.registry import (
    GithubSource,
    HubSource,
    PromptSet,
    ShippedSource,
    SourceFile,
)

DATA_VARIABLE: Final = "RIM_EVAL_DATA"
"""Environment variable that names the data folder."""


class MissingError(AccessError):
    """The local folder does not hold the set."""

    status: ClassVar = "missing"


class SetFile(NamedTuple):
    """One file of a set, and what is expected of it."""

    declared: SourceFile
    """With its rows filled in."""
    data: DataFile
    note: str = ""


class SetFiles(NamedTuple):
    """All files of a set, from one place."""

    files: tuple[SetFile, ...]
    source: Literal["publisher", "local", "shipped", "user"]
    location: str
    revision: str | None = None


def obtain(entry: PromptSet, data: Path | None) -> SetFiles:
    """Return the files of a set.

    Shipped sets come with the package. Others come from `data` when it is given; else from the
    folder in `RIM_EVAL_DATA` when that holds the set; else from the publisher.

    Args:
        entry: The set.
        data: A local folder or file.

    Raises:
        AccessError: The set is gated, not in the folder, or its publisher cannot be reached.
        RimError: The folder does not exist or holds only some of the files, or the publisher's file
            is not there.
    """
    shipped = isinstance(entry.source, ShippedSource)
    variable = os.environ.get(DATA_VARIABLE)
    folder = Path(variable).expanduser() if data is None and variable and not shipped else data
    if folder is not None and not folder.exists():
        step = f"Set {DATA_VARIABLE} (or data=) to a folder that has {_layout(entry)}."
        if shipped:
            step = "This set comes with the package: leave data= out."
        raise RimError(f"{entry.name}: the data folder {folder} does not exist. {step}")
    if shipped:
        contents = [(tasks_dir() / entry.name / file.path).read_bytes() for file in entry.files]
        files = tuple(map(as_declared, repeat(entry), entry.files, contents))
        return SetFiles(files, source="shipped", location=f"tasks/{entry.name}")
    local = _local(entry, folder) if folder is not None else None
    if data is None or local:
        return local or from_publisher(entry)
    others = [stand_in.name for stand_in in entry.local]
    also = f" Also accepted: {', '.join(others)}." if others else ""
    raise MissingError(
        f"{entry.name}: no file of this set in {data}. Put it there as "
        f"{_layout(entry)}.{also} The publisher's page: {entry.homepage}"
    )


def as_declared(entry: PromptSet, file: SourceFile, content: bytes) -> SetFile:
    """Return a publisher's file with what is expected of it.

    Args:
        entry: The set.
        file: The file as the entry declares it.
        content: Its bytes.
    """
    declared = file.model_copy(update={"rows": entry.expected_rows(file)})
    return SetFile(declared, DataFile(entry.name, file.name, content))


# ---- the publisher ----


def from_publisher(entry: PromptSet) -> SetFiles:
    """Download a set's files, or take them from the cache.

    Raises:
        AccessError: The set is gated, or the publisher cannot be reached and no copy is cached.
        RimError: A file is not there, or the publisher answers an error.
    """
    downloads = [_download(entry, file) for file in entry.files]
    revisions: dict[str, str | None] = {}
    for file, download in zip(entry.files, downloads, strict=True):
        location = _location(entry, file)
        if revisions.setdefault(location, download.revision) != download.revision:
            raise RimError(
                f"{entry.name}: the files of {location} are of several commits, because some lay in "
                "the cache. Next: delete the repository from the hub's cache (`hf cache`) and run again."
            )
    contents = [download.content for download in downloads]
    return SetFiles(
        files=tuple(map(as_declared, repeat(entry), entry.files, contents)),
        source="publisher",
        location=", ".join(revisions),
        revision=_joined(revisions.values()),
    )


def declared_revision(entry: PromptSet) -> str | None:
    """Return the commits that an entry declares, in the order of its files."""
    return _joined(getattr(source, "revision", None) for source in entry.sources)


def _download(entry: PromptSet, file: SourceFile) -> Download:
    source = file.source or entry.source
    if not isinstance(source, HubSource | GithubSource):
        raise RimError(f"{entry.name} has no publisher: its source is {source.type!r}.")
    try:
        return download_file(source, file.path, sha256=file.sha256, gated=entry.gated)
    except GatedError as error:
        raise GatedError(f"{entry.name}: {entry.title} is {error}.\n{_steps(entry)}") from error
    except OfflineError as error:
        raise OfflineError(f"{entry.name}: {error}.\n{_steps(entry)}") from error
    except RimError as error:
        raise RimError(
            f"{entry.name}: {error} The set's page is {entry.homepage}; files that you get there by "
            f"hand load from a local folder: {_copy(entry)}"
        ) from error


def _location(entry: PromptSet, file: SourceFile) -> str:
    source = file.source or entry.source
    return repository_url(source) if isinstance(source, HubSource | GithubSource) else source.type


def _joined(revisions: Iterable[str | None]) -> str | None:
    return ", ".join(dict.fromkeys(filter(None, revisions))) or None


def _steps(entry: PromptSet) -> str:
    """How to get access, or the files, one step a line."""
    if entry.gate is None:
        return f"Connect this machine and run again, or copy the files here: {_copy(entry)}"
    steps = [
        f"Request access at {entry.gate.url}",
        *entry.gate.steps,
        "Log in: `hf auth login`, or set HF_TOKEN to a token with read access.",
        f"Run again. Without network: {_copy(entry)}",
    ]
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))


def _copy(entry: PromptSet) -> str:
    return f"{_layout(entry)}; then set {DATA_VARIABLE}=<folder> (or pass data=<folder>)."


def _layout(entry: PromptSet) -> str:
    """A set's files below a data folder, as messages show them: `<folder>/xstest/xstest_prompts.csv`."""
    names = [file.name for file in entry.files]
    if len(names) > 3:
        return f"<folder>/{entry.name}/ with {len(names)} files: {', '.join(names)}"
    return " and ".join(f"<folder>/{entry.name}/{name}" for name in names)


# ---- a local folder ----


def _local(entry: PromptSet, data: Path) -> SetFiles | None:
    """The files of a set in a data folder; None when the folder holds no file of the set."""
    if data.is_file():
        return _in_folder(entry, {data.name: data}, data)
    for folder in (data / entry.name, data):
        paths = {path.name: path for path in folder.glob("*") if path.is_file()}
        if files := _in_folder(entry, paths, folder):
            return files
    return None


def _in_folder(entry: PromptSet, paths: dict[str, Path], folder: Path) -> SetFiles | None:
    by_name = {file.name: _read(entry, file, paths) for file in entry.files}
    files = tuple(filter(None, by_name.values()))
    if not files:
        return None
    if absent := [name for name, file in by_name.items() if not file]:
        raise RimError(
            f"{entry.name}: {', '.join(absent)}: missing in {folder}; expected {len(by_name)} files: "
            f"{', '.join(by_name)}.\nNext: copy the missing files there, or move the folder away to "
            "load from the publisher."
        )
    undeclared = paths.keys() - {file.data.name for file in files}
    if entry.exclusive and (extra := sorted(fnmatch.filter(undeclared, entry.exclusive))):
        raise RimError(
            f"{entry.name}: {extra[0]}: not a file of this set, in {folder}; expected no "
            f"{entry.exclusive} but {', '.join(by_name)}.\nNext: move it out of the folder; it would "
            "not be the published set."
        )
    return SetFiles(files, source="local", location=str(folder))


def _read(entry: PromptSet, file: SourceFile, paths: dict[str, Path]) -> SetFile | None:
    """A publisher's file, or one that stands for it."""
    if file.name in paths:
        return as_declared(entry, file, paths[file.name].read_bytes())
    for local in entry.local:
        if local.replaces == file.name and local.name in paths:
            own = {"path": local.name, "rows": local.rows or entry.expected_rows(file)}
            own |= {"columns": local.columns or file.columns, "sha256": local.sha256}
            content = paths[local.name].read_bytes()
            stand_in = as_declared(entry, file.model_copy(update=own), content)
            return stand_in._replace(note=local.note)
    return None
