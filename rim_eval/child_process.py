"""Ask a Python child process one line at a time, with a limit on the time of each answer.

Text from a model or a file may keep a library busy for ever, and Python cannot stop one of its threads:
an alarm works in the main thread only, and nothing interrupts a call into C. A process can be killed.
"""

import atexit
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Final

from rim_eval.errors import RimError

_START_SECONDS: Final = 60.0


class ChildEndedError(Exception):
    """The child gave no answer: it was killed after its time, or it ended by itself."""

    def __init__(self, *, timed_out: bool, exit_code: int) -> None:
        """Keep which of the two it was, and the exit code (negative: the signal that ended it)."""
        super().__init__("timed out" if timed_out else f"exit code {exit_code}")
        self.timed_out = timed_out
        self.exit_code = exit_code


class ChildProcess:
    """A child that is started when it is first asked, and again after a question that ended it.

    It is given no environment variable but the module path, so it holds no API key.
    """

    def __init__(self, arguments: Sequence[str], purpose: str) -> None:
        """Name the child without starting it.

        Args:
            arguments: What Python is started with; the code must call `serve`.
            purpose: What the child does, to end "The process that ..." in messages.
        """
        self._command = [sys.executable, "-P", *arguments]
        self._purpose = purpose
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.stop)

    def _forget(self) -> None:
        """Start afresh; in a forked copy the pipes are not its to read, and the lock may be held for ever."""
        self._process: subprocess.Popen[str] | None = None
        self._turn = threading.Lock()

    def ask(self, line: str, seconds: float) -> str:
        """Send one line of ASCII and return the answer; one question at a time, from any thread.

        Args:
            line: The question.
            seconds: Wall clock until the child is killed.

        Raises:
            ChildEndedError: The child gave no answer.
            RimError: The child does not start.
        """
        with self._turn:
            process = self._running()
            try:
                return _exchange(process, line, seconds)
            except BaseException:  # Ctrl-C too: a late answer would be taken for the next one's
                self._end()
                raise

    def stop(self) -> None:
        """End the child."""
        with self._turn:
            self._end()

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            encoding="ascii",
        )
        try:
            _exchange(self._process, None, _START_SECONDS)
        except ChildEndedError as error:
            self._end()
            raise RimError(
                f"The process that {self._purpose} did not start (exit code {error.exit_code}). "
                f"To see why: {shlex.join(self._command)}"
            ) from None
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _exchange(process: "subprocess.Popen[str]", line: str | None, seconds: float) -> str:
    """The child's next line, after the question if there is one."""
    assert process.stdin
    assert process.stdout
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    killer = threading.Timer(seconds, kill)
    killer.daemon = True
    killer.start()
    try:
        if line is not None:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        answer = process.stdout.readline()
    except OSError:
        answer = ""
    finally:
        killer.cancel()
    if not answer or late.is_set():
        raise ChildEndedError(timed_out=late.is_set(), exit_code=process.wait())
    return answer


def _environment() -> dict[str, str]:
    """The parent's module path and what Windows needs to start a process: nothing secret."""
    path = os.pathsep.join(entry or os.curdir for entry in sys.path)
    system = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
    return {"PYTHONPATH": path, **system}


def serve(answer: Callable[[str], str]) -> None:
    """In the child: answer each line of standard input with a line, until the parent closes it.

    Args:
        answer: Makes the line of an answer (ASCII) from the line of a question.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's is meant for the parent
    answers, sys.stdout = sys.stdout, sys.stderr  # nothing that a library prints is an answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(answer(line), file=answers, flush=True)
