"""Obtain the files of a prompt set: from the package, a local folder, or the publisher.

A local folder serves machines without network and gated sets. Its layout is `<folder>/<set>/<file>`
with the publisher's file names, for any number of sets; or a folder (or, for a set of one file, the
file itself) given for one set alone. Other files that are known to go round stand for the publisher's
where the set's entry declares them as `[[local]]`, with their own columns.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
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
from rim_eval.prompt_sets.formats import file_problem
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
    """With its rows and columns filled in."""
    content: bytes
    note: str = ""


@dataclass(frozen=True)
class SetFiles:
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
    if isinstance(entry.source, ShippedSource):
        if data is not None:
            _require_folder(entry, data)
        return _shipped(entry)
    if data is not None:
        return _local(entry, data) or _raise_missing(entry, data)
    variable = os.environ.get(DATA_VARIABLE)
    local = _local(entry, Path(variable).expanduser()) if variable else None
    return local or from_publisher(entry)


def as_declared(entry: PromptSet, file: SourceFile, content: bytes) -> SetFile:
    """Return a publisher's file with what is expected of it.

    Args:
        entry: The set.
        file: The file as the entry declares it.
        content: Its bytes.
    """
    expected = {"rows": entry.expected_rows(file), "columns": file.columns or entry.columns}
    return SetFile(file.model_copy(update=expected), content)


def _shipped(entry: PromptSet) -> SetFiles:
    folder = tasks_dir() / entry.name
    files = (as_declared(entry, file, (folder / file.path).read_bytes()) for file in entry.files)
    return SetFiles(tuple(files), source="shipped", location=f"tasks/{entry.name}")


# ---- the publisher ----


def from_publisher(entry: PromptSet) -> SetFiles:
    """Download a set's files, or take them from the cache.

    Raises:
        AccessError: The set is gated, or the publisher cannot be reached and no copy is cached.
        RimError: A file is not there, or the publisher answers an error.
    """
    downloads = [_download(entry, file) for file in entry.files]
    files = zip(entry.files, downloads, strict=True)
    return SetFiles(
        files=tuple(as_declared(entry, file, got.content) for file, got in files),
        source="publisher",
        location=_joined(_location(entry, file) for file in entry.files),
        revision=_used_revision(entry, downloads),
    )


def declared_revision(entry: PromptSet) -> str | None:
    """Return the commits that an entry declares, in the order of its files."""
    revisions = (getattr(source, "revision", None) for source in entry.sources)
    return _joined(revision for revision in revisions if revision) or None


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


def _used_revision(entry: PromptSet, downloads: list[Download]) -> str | None:
    """The commits that the files came from; all files of one repository must be of one commit."""
    revisions: dict[str, str | None] = {}
    for file, got in zip(entry.files, downloads, strict=True):
        location = _location(entry, file)
        if revisions.setdefault(location, got.revision) != got.revision:
            raise RimError(
                f"{entry.name}: the files of {location} are of several commits, because some lay in "
                "the cache. Next: delete the repository from the hub's cache (`hf cache`) and run again."
            )
    return _joined(revision for revision in revisions.values() if revision) or None


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(parts))


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
    _require_folder(entry, data)
    if data.is_file():
        return _in_folder(entry, {data.name: data}, data)
    for folder in (data / entry.name, data):
        paths = {path.name: path for path in folder.glob("*") if path.is_file()}
        if files := _in_folder(entry, paths, folder):
            return files
    return None


def _require_folder(entry: PromptSet, data: Path) -> None:
    if not data.exists():
        step = f"Set {DATA_VARIABLE} (or data=) to a folder that has {_layout(entry)}."
        if isinstance(entry.source, ShippedSource):
            step = "This set comes with the package: leave data= out."
        raise RimError(f"{entry.name}: the data folder {data} does not exist. {step}")


def _raise_missing(entry: PromptSet, data: Path) -> SetFiles:
    others = [local.name for local in entry.local]
    also = f" Also accepted: {', '.join(others)}." if others else ""
    raise MissingError(
        f"{entry.name}: no file of this set in {data}. Put it there as "
        f"{_layout(entry)}.{also} The publisher's page: {entry.homepage}"
    )


def _in_folder(entry: PromptSet, paths: dict[str, Path], folder: Path) -> SetFiles | None:
    by_name = {file.name: _read(entry, file, paths) for file in entry.files}
    files = tuple(file for file in by_name.values() if file)
    if not files:
        return None
    if absent := [name for name, file in by_name.items() if not file]:
        raise file_problem(
            entry.name,
            ", ".join(absent),
            f"missing in {folder}",
            expected=f"{len(by_name)} files: {', '.join(by_name)}",
            step="copy the missing files there, or move the folder away to load from the publisher.",
        )
    _refuse_undeclared(entry, paths.keys() - {file.declared.name for file in files}, folder)
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


def _refuse_undeclared(entry: PromptSet, names: Iterable[str], folder: Path) -> None:
    extra = sorted(name for name in names if entry.exclusive and fnmatch(name, entry.exclusive))
    if extra:
        raise file_problem(
            entry.name,
            extra[0],
            f"not a file of this set, in {folder}",
            expected=f"no {entry.exclusive} but {', '.join(file.name for file in entry.files)}",
            step="move it out of the folder; it would not be the published set.",
        )
