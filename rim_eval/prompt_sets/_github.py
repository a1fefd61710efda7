"""Files from a GitHub repository at a pinned commit, kept in this project's own cache."""

import os
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Final

from rim_eval.errors import RimError
from rim_eval.prompt_sets._access import offline
from rim_eval.prompt_sets._reach import CONNECT_SECONDS, unreachable
from rim_eval.prompt_sets._schema import GithubSource, PromptSet

__all__ = ["cache_dir", "fetch"]

_HOST: Final = "https://raw.githubusercontent.com"
_MAX_BYTES: Final = 32 * 2**20
_READ_SECONDS: Final = 20.0
_TRIES: Final = 3


def cache_dir() -> Path:
    """Where downloaded files are kept: `$XDG_CACHE_HOME/rim_eval`, by default in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rim_eval"


def fetch(entry: PromptSet, source: GithubSource, path: str) -> tuple[bytes, str | None]:
    """A file's bytes and the commit that it is of; none for a branch.

    Args:
        entry: The set, for messages.
        source: The repository and the commit or branch.
        path: The file in the repository.

    Raises:
        AccessError: GitHub cannot be reached and the cache has no copy.
        RimError: the file is not there or too large, or GitHub answers an error.
    """
    address = f"{source.repo}/{source.revision or source.branch}/{path}"
    cached = cache_dir() / "github" / address
    if not cached.is_file():
        if reason := unreachable(_HOST):
            raise offline(entry, host=_HOST, reason=reason)
        _keep(cached, _download(entry, f"{_HOST}/{address}"))
    return cached.read_bytes(), source.revision


def _download(entry: PromptSet, url: str) -> bytes:
    import httpx

    for left in reversed(range(_TRIES)):
        try:
            return _stream(entry, url)
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status < HTTPStatus.INTERNAL_SERVER_ERROR or not left:
                raise RimError(
                    f"{entry.name}: {url} answered {status}. Next: try later, or get the file from "
                    f"{entry.homepage} by hand and load it from a local folder."
                ) from error
        except httpx.HTTPError as error:
            if not left:
                raise offline(entry, host=url, reason=str(error)) from error
        time.sleep(1)
    raise AssertionError("the last try returns or raises")


def _stream(entry: PromptSet, url: str) -> bytes:
    import httpx

    timeout = httpx.Timeout(_READ_SECONDS, connect=CONNECT_SECONDS)
    chunks, size = [], 0
    with httpx.stream("GET", url, timeout=timeout, follow_redirects=True) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > _MAX_BYTES:
                raise RimError(f"{entry.name}: {url} is larger than {_MAX_BYTES} bytes; stopped.")
            chunks.append(chunk)
    return b"".join(chunks)


def _keep(path: Path, content: bytes) -> None:
    """Writes beside and renames, so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as beside:
        beside.write(content)
    Path(beside.name).replace(path)
