"""A server that a run starts: it answers, and ends with the process that asked it, however that ends."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rim_eval.errors import RimError
from rim_eval.suite.server import answers, serving

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"{}")
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/v1"


def command(address: str) -> str:
    port = address.rpartition(":")[2].partition("/")[0]
    return shlex.join([sys.executable, "-c", SERVER, port])


def gone(address: str) -> bool:
    until = time.monotonic() + 30
    while answers(address) and time.monotonic() < until:
        time.sleep(0.1)
    return not answers(address)


def test_it_is_started_once_and_ends_with_the_run(address: str) -> None:
    with serving(command(address), address):
        assert answers(address)
        with serving("/no/such/program", address):  # one that runs is reached
            pass
        assert answers(address)
    assert gone(address)


@pytest.mark.slow
def test_it_ends_when_its_asker_is_killed(address: str) -> None:
    program = "import sys, time; from rim_eval.suite.server import serving\nwith serving(*sys.argv[1:]): print('up', flush=True); time.sleep(60)"
    asker = subprocess.Popen(
        [sys.executable, "-c", program, command(address), address], stdout=subprocess.PIPE
    )
    assert asker.stdout
    assert asker.stdout.readline() == b"up\n"
    os.kill(asker.pid, signal.SIGKILL)
    asker.communicate()
    assert gone(address)


def test_one_that_ends_at_once_is_said_so(address: str, tmp_path: Path) -> None:
    with (
        pytest.raises(RimError, match="ended with exit code 3 before it answered"),
        serving(shlex.join([sys.executable, "-c", "raise SystemExit(3)"]), address),
    ):
        pass
