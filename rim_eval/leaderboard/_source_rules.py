"""The files that a run must have read: all of its set's, as the catalogue declares them."""

import hashlib
from collections.abc import Iterator
from functools import cache

from rim_eval.card import CardRun
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets import PromptSet

__all__ = ["source_problems"]


def source_problems(run: CardRun, known: PromptSet) -> Iterator[str]:
    """Why the prompts of a run are not those of its set."""
    found = run.provenance
    if found is None:
        yield f"run {run.id} does not say where its prompts came from"
        return
    shipped = known.source.type == "shipped"
    if found.source == "user" or (found.source == "shipped") != shipped:
        yield f"run {run.id} read prompts that are {found.source}, not the set's"
    if len({file.sha256 for file in found.files}) < len(found.files):
        yield f"run {run.id} read one file twice"
    if foreign := {file.name for file in found.files} - set(_names(known)):
        yield f"run {run.id} read {min(foreign)}, which is no file of the set"
    yield from _files(run, known)


def _names(known: PromptSet) -> dict[str, str]:
    """Names under which a declared file may be read, with the declared one."""
    return {file.name: file.name for file in known.files} | {
        local.name: local.replaces for local in known.local
    }


def _files(run: CardRun, known: PromptSet) -> Iterator[str]:
    names = _names(known)
    read = run.provenance.files if run.provenance else ()
    for declared in known.files:
        ours = [file for file in read if names.get(file.name) == declared.name]
        if len(ours) != 1:
            yield f"run {run.id} does not list {declared.name}, a file of the set"
            continue
        [file] = ours
        pinned = _pinned(known, declared.name, file.name)
        if pinned not in (None, file.sha256):
            yield f"run {run.id} read another {file.name} than the pinned one (sha256 differs)"
        if file.rows != known.expected_rows(declared):
            yield f"run {run.id} read {file.rows} rows of {file.name}, it has {known.expected_rows(declared)}"


def _pinned(known: PromptSet, declared: str, read: str) -> str | None:
    """The checksum that a file must have; None where none is declared."""
    if known.source.type == "shipped":
        path = next(file.path for file in known.files if file.name == declared)
        return _shipped_sha256(known.name, path)
    stand_ins = {local.name: local.sha256 for local in known.local if local.replaces == declared}
    own = {file.name: file.sha256 for file in known.files}
    return own[read] if read == declared else stand_ins.get(read)


@cache
def _shipped_sha256(name: str, path: str) -> str:
    return hashlib.sha256((tasks_dir() / name / path).read_bytes()).hexdigest()
