"""Files from the Hugging Face hub, exactly the declared ones, kept in the hub's own cache."""

from pathlib import Path

from rim_eval.errors import RimError
from rim_eval.prompt_sets._access import gated, offline
from rim_eval.prompt_sets._reach import CONNECT_SECONDS, unreachable
from rim_eval.prompt_sets._schema import HubSource, PromptSet

__all__ = ["fetch"]


def fetch(entry: PromptSet, source: HubSource, path: str) -> tuple[bytes, str]:
    """A file's bytes and the commit that it is of.

    Args:
        entry: The set, for messages.
        source: The repository and the commit; the newest one when it declares none.
        path: The file in the repository.

    Raises:
        AccessError: gated, or the hub cannot be reached and the cache has no copy.
        RimError: the repository, the commit or the file is not there, or the hub answers an error.
    """
    from huggingface_hub import constants, try_to_load_from_cache

    cached = try_to_load_from_cache(
        source.repo, path, revision=source.revision, repo_type="dataset"
    )
    if isinstance(cached, str):
        found = Path(cached)
    elif reason := unreachable(constants.ENDPOINT):
        raise offline(entry, host=constants.ENDPOINT, reason=reason)
    else:
        found = _download(entry, source, path)
    return found.read_bytes(), found.parts[found.parts.index("snapshots") + 1]


def _download(entry: PromptSet, source: HubSource, path: str) -> Path:
    from huggingface_hub import errors, get_token, hf_hub_download

    try:
        found = hf_hub_download(
            source.repo,
            path,
            revision=source.revision,
            repo_type="dataset",
            etag_timeout=CONNECT_SECONDS,
        )
    except errors.GatedRepoError as error:
        raise gated(entry, token=bool(get_token())) from error
    except errors.RepositoryNotFoundError as error:
        # Without a token the hub answers 401 for gated and for unknown repositories alike.
        if entry.gate:
            raise gated(entry, token=bool(get_token())) from error
        raise _gone(entry, source, "the repository was not found") from error
    except errors.LocalEntryNotFoundError as error:
        raise offline(entry, host="the hub", reason="the connection broke off") from error
    except (errors.EntryNotFoundError, errors.RevisionNotFoundError) as error:
        raise _gone(
            entry, source, f"{path} at {source.revision or 'main'} was not found"
        ) from error
    except errors.HfHubHTTPError as error:
        raise RimError(f"{entry.name}: the hub answered an error: {error}. Try later.") from error
    return Path(str(found))


def _gone(entry: PromptSet, source: HubSource, found: str) -> RimError:
    return RimError(
        f"{entry.name}: {found} in the hub's data set {source.repo}. Its page: {entry.homepage}\n"
        "Next: if HF_TOKEN is set, check that it is valid; else report it: the publisher moved it."
    )
