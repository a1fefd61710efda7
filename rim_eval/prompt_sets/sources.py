"""Obtain the files of a prompt set: from the package, a local folder, or the publisher.

A local folder serves machines without network and gated sets. Its layout is `<folder>/<set>/<file>`
with the publisher's file names, for any number of sets; or a folder (or, for a set of one file, the
file itself) given for one set alone. Other files that are known to go round stand for the publisher's
where the set's entry declares them as `[[local]]`, with their own columns.
"""

import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal, NamedTuple

from rim_eval.errors import AccessError, RimError
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets.download import download_file, repository_url
from rim_eval.prompt_sets.registry import FileSource, PublishedFiles, SourceFile

DATA_VARIABLE: Final = "RIM_EVAL_DATA"
"""Environment variable that names the data folder."""


class MissingError(AccessError):
    """The local folder does not hold the set."""

    status: ClassVar = "missing"


class SetFile(NamedTuple):
    """One file of a set: what is expected of it, and its bytes."""

    declared: SourceFile
    content: bytes
    note: str = ""


class SetFiles(NamedTuple):
    """All files of a set, from one place."""

    files: tuple[SetFile, ...]
    source: Literal["publisher", "local", "shipped", "user"]
    location: str
    revision: str | None = None


def obtain(entry: PublishedFiles, data: Path | None) -> SetFiles:
    """Return the files of a set.

    Args:
        entry: The set.
        data: A local folder or file; where and when it counts, `load_prompts` says.

    Raises:
        AccessError: The set is gated, not in the folder, or its publisher cannot be reached.
        RimError: The folder does not exist or holds only some of the files, or the publisher's file
            is not there.
    """
    shipped = entry.source.type == "shipped"
    variable = os.environ.get(DATA_VARIABLE)
    folder = Path(variable).expanduser() if data is None and variable and not shipped else data
    if folder is not None and not folder.exists():
        step = f"Set {DATA_VARIABLE} (or data=) to a folder that has {_layout(entry)}."
        if shipped:
            step = "This set comes with the package: leave data= out."
        raise RimError(f"{entry.name}: the data folder {folder} does not exist. {step}")
    if shipped:
        package = tasks_dir() / entry.folder
        files = tuple(SetFile(file, (package / file.path).read_bytes()) for file in entry.files)
        return SetFiles(files, source="shipped", location=f"tasks/{entry.folder}")
    local = _from_folder(entry, folder) if folder is not None else None
    if local or data is None:
        return local or from_publisher(entry)
    others = ", ".join(stand_in.name for stand_in in entry.local)
    also = f" Also accepted: {others}." if others else ""
    raise MissingError(
        f"{entry.name}: no file of this set in {data}. Put it there as "
        f"{_layout(entry)}.{also} The publisher's page: {entry.homepage}"
    )


def from_publisher(entry: PublishedFiles) -> SetFiles:
    """Download a set's files, or take them from the cache.

    Raises:
        AccessError: The set is gated, or the publisher cannot be reached and no copy is cached.
        RimError: A file is not there, or the publisher answers an error.
    """
    files: list[SetFile] = []
    revisions: dict[str, str] = {}
    for file in entry.files:
        source = file.source or entry.source
        assert not isinstance(source, FileSource)
        location = repository_url(source)
        try:
            content, revision = download_file(
                source, file.path, sha256=file.sha256, gated=entry.gated
            )
        except AccessError as error:
            raise type(error)(f"{entry.name}: {error}.\n{_steps(entry)}") from error
        except RimError as error:
            raise RimError(
                f"{entry.name}: {error} The set's page is {entry.homepage}; files that you get there by "
                f"hand load from a local folder: {_copy(entry)}"
            ) from error
        if revisions.setdefault(location, revision) != revision:
            raise RimError(
                f"{entry.name}: the files of {location} are of several commits, because some lay in "
                "the cache. Next: delete the repository from the hub's cache (`hf cache`) and run again."
            )
        files.append(SetFile(file, content))
    commits = join_revisions(revisions.values())
    return SetFiles(tuple(files), "publisher", ", ".join(revisions), commits)


def join_revisions(revisions: Iterable[str | None]) -> str | None:
    """Return the commits that are known, each once, as one text."""
    return ", ".join(dict.fromkeys(filter(None, revisions))) or None


def _steps(entry: PublishedFiles) -> str:
    """How to get access, or the files, one step a line."""
    if entry.access is None:
        return f"Connect this machine and run again, or copy the files here: {_copy(entry)}"
    steps = [
        f"Request access at {entry.access.url}",
        *entry.access.steps,
        "Log in: `hf auth login`, or set HF_TOKEN to a token with read access.",
        f"Run again. Without network: {_copy(entry)}",
    ]
    return "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, 1))


def _copy(entry: PublishedFiles) -> str:
    return f"{_layout(entry)}; then set {DATA_VARIABLE}=<folder> (or pass data=<folder>)."


def _layout(entry: PublishedFiles) -> str:
    """A set's files below a data folder, as messages show them: `<folder>/xstest/xstest_prompts.csv`."""
    names = [file.name for file in entry.files]
    if len(names) > 3:
        return f"<folder>/{entry.folder}/ with {len(names)} files: {', '.join(names)}"
    return " and ".join(f"<folder>/{entry.folder}/{name}" for name in names)


def _from_folder(entry: PublishedFiles, data: Path) -> SetFiles | None:
    """The files of a set in a data folder; None when the folder holds no file of the set."""
    folders = {data: [data]}
    if data.is_dir():
        folders = {folder: list(folder.glob("*")) for folder in (data / entry.folder, data)}
    for folder, entries in folders.items():
        paths = {path.name: path for path in entries if path.is_file()}
        by_name = {file.name: _read(entry, file, paths) for file in entry.files}
        files = tuple(file for file in by_name.values() if file)
        if not files:
            continue
        if absent := [name for name, file in by_name.items() if not file]:
            raise RimError(
                f"{entry.name}: {', '.join(absent)}: missing in {folder}; expected {len(by_name)} files: "
                f"{', '.join(by_name)}.\nNext: copy the missing files there, or move the folder away to "
                "load from the publisher."
            )
        undeclared = paths.keys() - {file.declared.name for file in files}
        if extra := sorted(fnmatch.filter(undeclared, entry.exclusive or "")):
            raise RimError(
                f"{entry.name}: {extra[0]}: not a file of this set, in {folder}; expected no "
                f"{entry.exclusive} but {', '.join(by_name)}.\nNext: move it out of the folder; it would "
                "not be the published set."
            )
        return SetFiles(files, source="local", location=str(folder))
    return None


def _read(entry: PublishedFiles, file: SourceFile, paths: Mapping[str, Path]) -> SetFile | None:
    """A publisher's file, or one that stands for it."""
    if file.name in paths:
        return SetFile(file, paths[file.name].read_bytes())
    for local in entry.local:
        if local.replaces == file.name and local.name in paths:
            changes = {"path": local.name, "rows": local.rows or file.rows, "sha256": local.sha256}
            declared = file.model_copy(update=changes | {"columns": local.columns or file.columns})
            return SetFile(declared, paths[local.name].read_bytes(), local.note)
    return None
