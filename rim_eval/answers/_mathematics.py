"""Compare mathematical expressions by math-verify, in a process that can be ended.

A reply is whatever a model wrote, and simplifying it may take for ever. Python cannot stop one of
its threads: math-verify's alarm works in the main thread only, an exception sent into a thread from
outside may land in somebody else's `finally` and stays pending in the interpreter (CPython 3.11
then hangs under any debugger), and nothing interrupts a call into C. A process can be ended.

The process says `ready`, then answers a question a line, in JSON: `["equal", [gold, answer, whole],
seconds]` gives `{"value": true}`, or `{"problem": "..."}` where the expressions are too large. A question
that takes longer than its seconds ends the process.
"""

import atexit
import faulthandler
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from math import inf, log10
from typing import Any, Final

from rim_eval.errors import RimError

_SECONDS = 3.0
"""For one comparison. Parsing the gold and answers of MATH-500 takes milliseconds."""

_MOST_DIGITS: Final = 2_000.0
"""Of a value; a tower of powers has more than memory can hold."""

_LARGEST_EXPANSION: Final = 64
"""Exponent of a sum: simplifying a larger power would expand it into too many terms."""

_COMBINATORIAL: Final = re.compile(r"\\(?:binom|dbinom|tbinom|choose)\b|!")
_LARGE: Final = re.compile(r"\d{5}|\^")


class CannotCompareError(Exception):
    """The expressions are too large or too slow to compare: neither equal nor different."""


def readable(text: str) -> bool:
    """Whether math-verify reads the text as mathematics.

    Raises:
        CannotCompareError: If reading it takes too long or it is too large.
    """
    return bool(_process.ask("readable", text))


def equal(gold: str, answer: str, *, whole: bool) -> bool:
    """Whether the answer equals the gold as mathematics.

    Args:
        gold: The whole gold answer, LaTeX or plain.
        answer: The whole answer, or a piece of reply that ends in it.
        whole: Which of the two it is; from a piece, math-verify picks the expression.

    Raises:
        CannotCompareError: If that takes too long or one of them is too large.
    """
    return bool(_process.ask("equal", gold, answer, whole))


def value(text: str) -> float | None:
    """The real number that the whole text evaluates to; None when it is no such number.

    Raises:
        CannotCompareError: If that takes too long or it is too large.
    """
    number: float | None = _process.ask("value", text)
    return number


class _Process:
    """Starts the process when it is first asked, and again after a question that ended it."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._running: subprocess.Popen[str] | None = None

    def ask(self, name: str, *arguments: str | bool) -> Any:
        """Put one question to the process; one question at a time."""
        with self._turn:
            process, started = self._alive(), time.monotonic()
            try:
                line = _exchange(process, json.dumps([name, arguments, _SECONDS]))
            except BaseException:  # Ctrl-C: a reply left unread would answer the next question
                self._end(process)
                raise
            reply = json.loads(line) if line else {"problem": self._why_it_ended(process, started)}
        if "problem" in reply:
            raise CannotCompareError(reply["problem"])
        return reply["value"]

    def stop(self) -> None:
        """End the process."""
        with self._turn:
            if self._running:
                self._end(self._running)

    def _alive(self) -> subprocess.Popen[str]:
        if self._running is None or self._running.poll() is not None:
            self._running = _start()
        return self._running

    def _end(self, process: subprocess.Popen[str]) -> None:
        self._running = None
        process.kill()
        process.communicate()

    def _why_it_ended(self, process: subprocess.Popen[str], started: float) -> str:
        process.wait()
        self._end(process)
        if time.monotonic() - started >= _SECONDS:
            return f"not compared within {_SECONDS:g} s"
        return f"the comparison broke off (exit code {process.returncode})"


def _start() -> subprocess.Popen[str]:
    serve = "from rim_eval.answers import _mathematics; _mathematics.serve()"
    command = [sys.executable, "-P", "-c", serve]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        encoding="ascii",
    )
    if not _exchange(process, None):
        process.communicate()
        raise RimError(
            f"math-verify, which compares answers, did not start (exit code {process.returncode}). "
            f"To see why: {shlex.join(command)}"
        )
    return process


def _exchange(process: subprocess.Popen[str], question: str | None) -> str:
    """The process's next line, after the question if there is one; empty when it has ended."""
    assert process.stdin
    assert process.stdout
    try:
        if question:
            process.stdin.write(question + "\n")
            process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:
        return ""


_process = _Process()


def _start_afresh() -> None:
    """In a forked child: the parent's pipes are not its to read, and its lock may be held for ever."""
    global _process
    _process = _Process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
atexit.register(lambda: _process.stop())


# What follows runs in the process.


class _TooLargeError(Exception):
    """The value of the expression would fill the memory."""


def _readable(text: str) -> bool:
    """Whether math-verify reads the text as mathematics."""
    return bool(_parse_whole(text))


def _equal(gold: str, answer: str, whole: bool) -> bool:
    """Whether they are equal; unless the answer is `whole`, the expression is picked from it."""
    from math_verify import verify

    references = _parse_whole(gold)
    candidates = _parse_whole(answer) if whole else _parse(answer)
    return bool(verify(list(references), list(candidates), timeout_seconds=None))


def _value(text: str) -> float | None:
    """The real number that the whole text evaluates to; None when it is no such number."""
    parsed = _parse_whole(text)
    return float(parsed[0].doit().evalf()) if parsed else None


@lru_cache(maxsize=4096)
def _parse_whole(text: str) -> tuple[Any, ...]:
    return _parse(f"${text}$")


def _parse(text: str) -> tuple[Any, ...]:
    from math_verify import parse

    if _COMBINATORIAL.search(text) and _LARGE.search(text):
        raise _TooLargeError
    # math-verify's own timeouts need the main thread's alarm; the watchdog below bounds all of it.
    parsed = [each for each in parse(text, parsing_timeout=None) if not isinstance(each, str)]
    if any(_digits(each) > _MOST_DIGITS for each in parsed):
        raise _TooLargeError
    return tuple(parsed)


def _digits(expression: Any) -> float:
    """About how many digits the value has, at most, without computing it; symbols count as 2."""
    if getattr(expression, "is_Number", False):
        return log10(abs(float(expression)) + 1) if expression.is_finite else 0.0
    parts = [_digits(part) for part in getattr(expression, "args", ())]
    if getattr(expression, "is_Pow", False):
        if expression.base.is_Add and parts[1] > log10(_LARGEST_EXPANSION + 1):
            return inf
        return parts[0] * 10 ** parts[1] if parts[1] < 300 else inf
    kind = type(expression).__name__
    if kind in ("factorial", "gamma", "factorial2", "subfactorial"):
        return parts[0] * 10 ** parts[0] if parts[0] < 300 else inf
    return sum(parts) if parts else log10(2)


_QUESTIONS: dict[str, Callable[..., Any]] = {
    "readable": _readable,
    "equal": _equal,
    "value": _value,
}


def _reply(name: str, arguments: list[Any]) -> dict[str, Any]:
    try:
        return {"value": _QUESTIONS[name](*arguments)}
    except (_TooLargeError, MemoryError):
        return {"problem": "too large to evaluate"}
    except Exception:  # math-verify and sympy raise all kinds; what they cannot read has no value
        return {"value": None}


def _end_in(seconds: float) -> None:
    """Have the system end this process, also while it is inside a call into C; 0 calls that off."""
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    elif seconds:
        faulthandler.dump_traceback_later(seconds, exit=True)
    else:
        faulthandler.cancel_dump_traceback_later()


def serve() -> None:
    """Say `ready`, then answer one JSON question a line, until the input ends; run by `_start`."""
    import math_verify  # noqa: F401  (its import must not count against the first question)

    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is meant for the parent
    replies, sys.stdout = sys.stdout, sys.stderr  # nothing that a library prints is a reply
    print("ready", file=replies, flush=True)
    for line in sys.stdin:
        name, arguments, seconds = json.loads(line)
        _end_in(seconds)
        reply = _reply(name, arguments)
        _end_in(0)
        print(json.dumps(reply), file=replies, flush=True)
