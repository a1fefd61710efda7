"""Download files of data repositories once, at a pinned commit where one is known.

Files of the Hugging Face hub lie in the hub's own cache; those of GitHub are fetched, checksummed and
cached by pooch in the user's cache folder (`~/.cache/rim_eval` on Linux). A file in the cache is used
without the network; without both, one message says so within seconds.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from rim_eval.errors import AccessError, RimError
from rim_eval.prompt_sets.registry import GithubSource, HubSource

_GITHUB: Final = "https://raw.githubusercontent.com"
_MAX_BYTES: Final = 32 * 2**20
_CONNECT_SECONDS: Final = 4.0
_READ_SECONDS: Final = 20.0
_RETRIES: Final = 2
_PROBE_SECONDS: Final = 60
"""For how long the answer to "can this host be reached" holds."""


class GatedError(AccessError):
    """The publisher has not granted this user access."""

    status: ClassVar = "gated"


class OfflineError(AccessError):
    """The publisher cannot be reached from this machine."""

    status: ClassVar = "offline"


class Download(NamedTuple):
    """A file's bytes, and the commit that it is of."""

    content: bytes
    revision: str


def repository_url(source: HubSource | GithubSource) -> str:
    """Return the address of a repository's page."""
    host = "huggingface.co/datasets" if isinstance(source, HubSource) else "github.com"
    return f"https://{host}/{source.repo}"


def download_file(
    source: HubSource | GithubSource, path: str, *, sha256: str | None = None, gated: bool = False
) -> Download:
    """Return a file of a repository, from the cache or over the network.

    Args:
        source: The repository, and the commit where one is known.
        path: The file in the repository.
        sha256: The file's checksum where it is known; a cached file that differs is fetched again.
        gated: Whether the publisher is known to grant access on request only.

    Raises:
        AccessError: Access is not granted, or the publisher cannot be reached and no copy is cached.
        RimError: The file does not exist, is too large, or has another checksum.
    """
    if isinstance(source, HubSource):
        return _from_hub(source, path, gated=gated)
    return _from_github(source, path, sha256)


def _from_github(source: GithubSource, path: str, sha256: str | None) -> Download:
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")
    commit = f"{source.repo}/{source.revision}"
    files = pooch.create(
        path=pooch.os_cache("rim_eval") / "github" / commit,
        base_url=f"{_GITHUB}/{commit}/",
        registry={path: sha256},
        retry_if_failed=_RETRIES,
    )
    try:
        return Download(Path(files.fetch(path, downloader=_stream)).read_bytes(), source.revision)
    except RequestException as error:
        raise _offline(f"{_GITHUB}/{commit}/{path}", str(error)) from error
    except OSError as error:
        raise RimError(
            f"{path} cannot be kept in {files.abspath} ({error.strerror}). Next: name a folder that can "
            "be written, with XDG_CACHE_HOME."
        ) from error
    except ValueError as error:
        raise RimError(
            f"{path}: SHA-256 is not that of the published file ({error}) Next: try again later; if "
            f"it stays so, compare with {repository_url(source)}."
        ) from error


def _stream(url: str, output: str, _pooch: Any) -> None:
    """Write a file as it arrives; pooch tries again after errors of the connection only."""
    import requests

    require_host(_GITHUB)
    timeout = (_CONNECT_SECONDS, _READ_SECONDS)
    with requests.get(url, stream=True, timeout=timeout) as response, Path(output).open("wb") as to:
        if 400 <= response.status_code < 500:
            raise RimError(f"{url} answered {response.status_code}.")
        response.raise_for_status()
        for chunk in response.iter_content(2**16):
            if to.tell() + len(chunk) > _MAX_BYTES:
                raise RimError(f"{url} is larger than {_MAX_BYTES} bytes; stopped.")
            to.write(chunk)


def _from_hub(source: HubSource, path: str, *, gated: bool) -> Download:
    import huggingface_hub as hub
    from huggingface_hub import constants, errors

    place: Any = {"revision": source.revision, "repo_type": "dataset"}
    cached = hub.try_to_load_from_cache(source.repo, path, **place)
    if not isinstance(cached, str):
        # The hub's own client retries for half a minute before it says that there is no network.
        require_host(constants.ENDPOINT)
        try:
            cached = hub.hf_hub_download(source.repo, path, **place, etag_timeout=_CONNECT_SECONDS)
        except errors.RepositoryNotFoundError as error:
            # Without a token the hub answers 401 for gated and for unknown repositories alike.
            if not gated and not isinstance(error, errors.GatedRepoError):
                raise _not_found(source, "the repository") from error
            has_token = hub.get_token() is not None
            state = "your account has no access yet" if has_token else "no token was found here"
            raise GatedError(f"{source.repo} is gated by its publisher, and {state}") from error
        except errors.LocalEntryNotFoundError as error:
            raise _offline("the hub", "the connection broke off") from error
        except (errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
            raise _not_found(source, f"{path} at {source.revision or 'main'}") from error
        except errors.HfHubHTTPError as error:
            raise RimError(f"the hub answered an error: {error}. Try later.") from error
    file = Path(cached)
    return Download(file.read_bytes(), file.parts[file.parts.index("snapshots") + 1])


def _not_found(source: HubSource, what: str) -> RimError:
    return RimError(
        f"{what} was not found in the hub's data set {source.repo}. Next: if HF_TOKEN is set, check "
        "that it is valid; else report it: the publisher moved it."
    )


def _offline(host: str, reason: str) -> OfflineError:
    return OfflineError(f"{host} cannot be reached ({reason}), and no copy is cached here")


_WITHOUT: Final[ContextVar[bool]] = ContextVar("without_network", default=False)


@contextmanager
def without_network() -> Iterator[None]:
    """Take publishers' files from this machine alone; what is not here is an `OfflineError`."""
    token = _WITHOUT.set(True)
    try:
        yield
    finally:
        _WITHOUT.reset(token)


def require_host(url: str) -> None:
    """Ask a host once, for seconds, whether it answers.

    Raises:
        OfflineError: It does not, or HF_HUB_OFFLINE is set.
    """
    if _WITHOUT.get():
        raise _offline(url, "no network is wanted")
    # HF_HUB_OFFLINE holds for every publisher: whoever sets it wants no network at all.
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}:
        raise _offline(url, "HF_HUB_OFFLINE is set")
    if reason := _probe(url, int(time.monotonic() // _PROBE_SECONDS)):
        raise _offline(url, reason)


@cache
def _probe(url: str, _minute: int) -> str | None:
    """Why a host cannot be reached, None when it answers."""
    import httpx

    try:
        httpx.head(url, timeout=_CONNECT_SECONDS)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return None
