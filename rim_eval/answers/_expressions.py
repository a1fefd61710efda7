"""Equality of mathematical expressions, asked of a process of its own (`_mathematics`).

A reply is whatever a model wrote, and simplifying it may take for ever. Python cannot stop one of
its threads: math-verify's alarm works in the main thread only, an exception sent into a thread from
outside may land in somebody else's `finally` and stays pending in the interpreter (CPython 3.11
then hangs under any debugger), and nothing interrupts a call into C. A process can be ended.
"""

import atexit
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from typing import Any

from rim_eval.errors import RimError

_SECONDS = 3.0
"""For one comparison. Parsing the gold and answers of MATH-500 takes milliseconds."""


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
        """The answer of `_mathematics` to one question; one question at a time."""
        with self._turn:
            process, asked = self._alive(), time.monotonic()
            try:
                line = _exchange(process, json.dumps([name, arguments, _SECONDS]))
            except BaseException:  # Ctrl-C: a reply left unread would answer the next question
                self._end(process)
                raise
            reply = json.loads(line) if line else {"problem": self._why_it_ended(process, asked)}
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

    def _why_it_ended(self, process: subprocess.Popen[str], asked: float) -> str:
        process.wait()
        self._end(process)
        if time.monotonic() - asked >= _SECONDS:
            return f"not compared within {_SECONDS:g} s"
        return f"the comparison broke off (exit code {process.returncode})"


def _start() -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "rim_eval.answers._mathematics"]
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
