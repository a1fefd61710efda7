"""Requests to an engine's server before anything is generated, which wait while it is overloaded or restarts."""

import logging
import time
from collections.abc import Callable
from typing import Final

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

_LOGGER: Final = logging.getLogger(__name__)

PATIENCE: Final = 180.0
"""Seconds of waiting, as for a judge's server: one that restarts is back by then."""

_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a server, or of a proxy before it, that may answer later."""


def is_transient(error: BaseException) -> bool:
    """Tell whether a request that failed may succeed later: an overload, a broken or timed-out connection.

    A refused connection is none: nothing listens there, and the user is told so at once.
    """
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _TRANSIENT
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)


def send_with_retries(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Send a request, and again while it fails for now, for three minutes.

    Args:
        send: Sends it once.

    Returns:
        The reply; one whose status says that the request itself is wrong is returned as it is.

    Raises:
        httpx.HTTPStatusError: The server's status was one of an overload to the end.
        httpx.TransportError: It did not answer to the end, or nothing listens there.
    """

    def send_once() -> httpx.Response:
        reply = send()
        if reply.status_code in _TRANSIENT:
            reply.raise_for_status()
        return reply

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(PATIENCE),
        wait=wait_exponential(multiplier=0.5, max=15) + wait_random(0, 0.5),
        before_sleep=_log_retry,
        sleep=time.sleep,
        reraise=True,
    )
    return retrying(send_once)


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number in (3, 8):
        _LOGGER.warning("The server does not answer for now (%s); asking again.", error)
