"""Whether a publisher's host can be reached, found out in seconds and asked once a minute."""

import os
import time
from functools import cache
from typing import Final

__all__ = ["CONNECT_SECONDS", "unreachable"]

CONNECT_SECONDS: Final = 4.0
_ASK_AGAIN_SECONDS: Final = 60


def unreachable(url: str) -> str | None:
    """Why a host cannot be reached; none when it answers.

    `HF_HUB_OFFLINE` holds for every publisher: whoever sets it wants no network at all.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}:
        return "HF_HUB_OFFLINE is set"
    return _probe(url, int(time.monotonic() // _ASK_AGAIN_SECONDS))


@cache
def _probe(url: str, _minute: int) -> str | None:
    import httpx

    try:
        # The hub's own client retries for half a minute before it says that there is no network.
        httpx.head(url, timeout=CONNECT_SECONDS)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
    return None
