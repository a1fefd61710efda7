"""A time limit for Python code that works in any thread and costs nothing while it runs.

math-verify limits its own time with SIGALRM, which only the main thread may use; replies are
scored in worker threads and under asyncio. Here a watcher raises an exception in the working
thread through CPython's own call for that. (A trace or profile function would do it too, but
slows the parser five- to twelvefold, measured.)
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 0.5
"""Seconds until the exception is raised again, should a bare `except:` have swallowed it."""


class DeadlinePassedError(BaseException):
    """The time is up. Not an `Exception`, so that no `except Exception` in between swallows it."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise `DeadlinePassedError` in this thread if the block takes longer than `seconds`.

    One call into C (one huge integer power) is not interrupted: refuse those beforehand.
    """
    worker = threading.get_ident()
    done = threading.Event()
    turn = threading.Lock()

    def watch() -> None:
        wait = seconds
        while not done.wait(wait):
            with turn:
                if not done.is_set():
                    _raise_in(worker, DeadlinePassedError)
            wait = _AGAIN_S

    def stop() -> None:
        with turn:
            done.set()
        _raise_in(worker, None)

    watcher = threading.Thread(target=watch, daemon=True, name="rim_eval deadline")
    try:
        # Inside: on a busy machine the time may be up before `start` has returned.
        watcher.start()
        yield
    finally:
        # The exception may arrive in this very line: the second call finds it spent.
        try:
            stop()
        finally:
            stop()


def _raise_in(thread: int, exception: type[BaseException] | None) -> None:
    """Have the thread raise at its next bytecode; None takes back what it has not raised yet."""
    pending = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), pending)
