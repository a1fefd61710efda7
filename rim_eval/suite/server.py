"""An engine's server that a run starts where none answers, and that ends with the process that asked it.

    python -m rim_eval.suite.server COMMAND      # ends when its standard input does

vLLM may live in an environment of its own, whose versions are not those of this one: the command names it.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rim_eval.errors import RimError

_START_SECONDS: Final = 1800.0
"""For a server to load its weights."""
_END_SECONDS: Final = 30.0


@contextmanager
def serving(command: str | None, base_url: str | None) -> Iterator[None]:
    """Start a server where none answers, wait until it does, and end it in the end.

    Args:
        command: What starts it; None to start nothing.
        base_url: Its address, as Inspect takes it (`http://127.0.0.1:8000/v1`).

    Raises:
        RimError: It ended, or did not answer within half an hour.
    """
    if command is None or base_url is None or answers(base_url):
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "rim_eval.suite.server", command],
        stdin=subprocess.PIPE,
        stdout=sys.stderr,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.curdir for entry in sys.path)},
    )
    try:
        _await(process, command, base_url)
        yield
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait()


def answers(base_url: str) -> bool:
    """Tell whether a server lists its models; one that loads its weights does not yet.

    Args:
        base_url: Its address.
    """
    import httpx

    key = os.environ.get("VLLM_API_KEY", "none")
    try:
        reply = httpx.get(
            f"{base_url.rstrip('/')}/models", headers={"Authorization": f"Bearer {key}"}, timeout=10
        )
    except httpx.TransportError:
        return False
    return reply.is_success


def _await(process: "subprocess.Popen[bytes]", command: str, base_url: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while not answers(base_url):
        if process.poll() is not None:
            raise RimError(
                f"The server ended with exit code {process.returncode} before it answered: {command}. Its last words are in "
                "output.txt beside the model's logs. Start it by hand to see why."
            )
        if time.monotonic() > until:
            raise RimError(
                f"Nothing answers at {base_url} half an hour after the start of: {command}. Does `base_url` name the port "
                "that the command serves at?"
            )
        time.sleep(0.5)


def main(command: str) -> int:
    """Run the command until it ends by itself, or until standard input does: with this process's parent."""
    server = subprocess.Popen(
        shlex.split(command), stdin=subprocess.DEVNULL, start_new_session=True
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent closes the pipe when it is ready
    os.set_blocking(sys.stdin.fileno(), False)
    while server.poll() is None:
        try:
            if not os.read(sys.stdin.fileno(), 1024):
                break
        except BlockingIOError:
            time.sleep(0.2)
    if server.poll() is None:
        _end(server)
    return server.returncode or 0


def _end(server: "subprocess.Popen[bytes]") -> None:
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
