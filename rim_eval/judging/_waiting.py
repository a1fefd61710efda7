"""Waiting for a grader that cannot be reached: a server that is being restarted costs no verdicts.

Inspect repeats rate limits and server errors, but gives up at once when a vLLM server on this machine no
longer answers; every reply judged in those seconds would stay without a verdict in a run that succeeds.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

__all__ = ["waiting_for"]

_T = TypeVar("_T")

_FIRST: Final = 2.0
_LONGEST: Final = 60.0


async def waiting_for(call: Callable[[], Awaitable[_T]], retries: int) -> _T:
    """The call's result, asked for again while nobody answers at its address.

    Args:
        call: Makes one attempt.
        retries: Further attempts, after 2, 4, 8, ... at most 60 seconds each (six: two minutes in all).

    Raises:
        Exception: What the last attempt raised, or any attempt for another reason.
    """
    wait = _FIRST
    for _ in range(retries):
        try:
            return await call()
        except Exception as error:
            if not _nobody_answers(error):
                raise
        await anyio.sleep(wait)
        wait = min(2 * wait, _LONGEST)
    return await call()


def _nobody_answers(error: Exception) -> bool:
    """A refused or broken connection; a time-out is none, Inspect has repeated that already."""
    import httpx
    from openai import APIConnectionError, APITimeoutError

    if isinstance(error, APITimeoutError):
        return False
    return isinstance(error, APIConnectionError | httpx.NetworkError | ConnectionError)
