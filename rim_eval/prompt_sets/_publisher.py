"""A set from its publisher: every file from its repository, at the declared commit."""

from collections.abc import Iterable

from rim_eval.errors import RimError
from rim_eval.prompt_sets import _github, _hub
from rim_eval.prompt_sets._fetched import Batch, as_declared
from rim_eval.prompt_sets._schema import GithubSource, HubSource, PromptSet, Source, SourceFile

__all__ = ["declared_revision", "fetch", "location"]


def fetch(entry: PromptSet) -> Batch:
    """Downloads a set's files, or takes them from the cache.

    Raises:
        AccessError: gated, or the publisher cannot be reached and there is no cached copy.
        RimError: a file is not there, or the publisher answers an error.
    """
    files, commits = [], []
    for file in entry.files:
        content, commit = _fetch_one(entry, file)
        files.append(as_declared(entry, file, content))
        commits.append((file.source or entry.source, commit))
    return Batch(
        files=tuple(files),
        source="publisher",
        location=_joined(location(source) for source in entry.sources),
        revision=_one_commit_each(entry, commits),
    )


def location(source: Source) -> str:
    """Address of a repository."""
    match source:
        case HubSource(repo=repo):
            return f"https://huggingface.co/datasets/{repo}"
        case GithubSource(repo=repo):
            return f"https://github.com/{repo}"
        case _:
            return source.type


def declared_revision(entry: PromptSet) -> str | None:
    """The commits that an entry declares, in the order of its files."""
    found = (getattr(source, "revision", None) for source in entry.sources)
    return _joined(commit for commit in found if commit) or None


def _fetch_one(entry: PromptSet, file: SourceFile) -> tuple[bytes, str | None]:
    source = file.source or entry.source
    if isinstance(source, HubSource):
        return _hub.fetch(entry, source, file.path)
    if isinstance(source, GithubSource):
        return _github.fetch(entry, source, file.path)
    raise RimError(f"{entry.name} has no publisher: its source is {source.type!r}.")


def _one_commit_each(entry: PromptSet, commits: list[tuple[Source, str | None]]) -> str | None:
    """Files of one repository must be of one commit, also when only some of them were cached."""
    found: dict[str, str | None] = {}
    for source, commit in commits:
        if found.setdefault(location(source), commit) != commit:
            raise RimError(
                f"{entry.name}: the files of {location(source)} are of several commits, because "
                "some lay in the cache. Next: delete the repository from the hub's cache "
                "(`hf cache`) and run again."
            )
    return _joined(commit for commit in found.values() if commit) or None


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(parts))
