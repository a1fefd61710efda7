"""Getting a labelled set's files: from its publisher, or the local files that the user names."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rim_eval.errors import AccessError, RimError
from rim_eval.judging._labelled import (
    LABELLED_SETS,
    LabelledFile,
    LabelledReply,
    LabelledSet,
    parse_labelled,
)

__all__ = ["load_labelled"]

_SECONDS: Final = 30.0


def load_labelled(
    name: str, files: Sequence[Path] = ()
) -> tuple[list[LabelledReply], list[LabelledFile]]:
    """All labelled replies of a set.

    Args:
        name: A key of `LABELLED_SETS`.
        files: Local files in the publisher's format; without any the set is downloaded.

    Raises:
        RimError: There is no such set, a file is missing, given twice, or has another shape.
        AccessError: The publisher cannot be reached.
    """
    source = LABELLED_SETS.get(name)
    if source is None:
        raise RimError(f"There is no labelled set `{name}`. Sets: {', '.join(LABELLED_SETS)}.")
    if not files and not source.files:
        raise RimError(f"The set `{name}` needs a file: --data FILE. {source.about}")
    replies: list[LabelledReply] = []
    records: list[LabelledFile] = []
    for filename, raw in _local(files) if files else _published(name, source):
        found, record = parse_labelled(name, filename, raw)
        if files:
            _refuse_twice(filename, record, records)
        replies += found
        records.append(record)
    return replies, records


def _refuse_twice(filename: str, record: LabelledFile, records: Sequence[LabelledFile]) -> None:
    same = next((known for known in records if known.sha256 == record.sha256), None)
    if same is not None:
        raise RimError(
            f"{filename} holds the same replies as {same.name}, given before (sha256 "
            f"{record.sha256[:12]}): they would count twice. Give each file once."
        )


def _local(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        try:
            yield str(path), path.read_bytes()
        except OSError as error:
            raise RimError(f"--data {path}: {error.strerror}.") from None


def _published(name: str, source: LabelledSet) -> Iterator[tuple[str, bytes]]:
    for file in source.files:
        try:
            yield file, _hub(source.hub, file) if source.hub else _github(str(source.github), file)
        except Exception as error:
            raise AccessError(
                f"{source.hub or source.github}: {file} could not be loaded "
                f"({type(error).__name__}: {str(error).splitlines()[0][:200]}). "
                f"With a copy of your own: --set {name} --data FILE."
            ) from None


def _hub(repo: str, file: str) -> bytes:
    from huggingface_hub import hf_hub_download

    return Path(str(hf_hub_download(repo, file, repo_type="dataset"))).read_bytes()


def _github(repo: str, file: str) -> bytes:
    import httpx

    found = httpx.get(f"https://raw.githubusercontent.com/{repo}/{file}", timeout=_SECONDS)
    found.raise_for_status()
    return found.content
