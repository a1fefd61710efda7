"""What a paired, judged run costs beside plain Inspect, and plain Inspect beside a bare client.

    python -m benchmarks.overhead                          # three sizes against the loopback server
    python -m benchmarks.overhead --seconds 2 --prompts 64 256 1024
    python -m benchmarks.overhead --address http://127.0.0.1:8102/v1 --model organism   # a real engine

Seven ways to ask the same prompts in both modes, each in a process of its own, taken in turn so that a
busy machine slows all of them alike:

    bare     an asyncio client: what the engine and the wire take
    plain    Inspect, one sample a generation, a trivial scorer
    pairs    Inspect as it would be written for pairs: one sample a prompt, both modes at once, a trivial scorer
    rim      this project's task, one sample a pair, the offline refusal judge
    lean     the same without Inspect's live log and running figures
    judged   this project's task with a model that judges every reply (twice the generations)
    plain2   Inspect with as many generations as `judged`

Wall and processor time are taken from the call to the return; imports, which a run pays once, stand in a column
of their own. rim_eval is imported as it is installed: for a task of an editable installation Inspect looks
through the files of every package (some 0.7 s on busy cores, once), so measure an installed wheel. Ratios are of the same
round; their median and range over the rounds are printed. Last comes, by least squares over all runs, what
a run takes once (start, finding the switch, closing the log) and what every further generation takes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["WAYS", "Taken", "loopback", "measure"]

_WAYS_FILE = Path(__file__).with_name("overhead_ways.py")
WAYS = ("bare", "plain", "pairs", "rim", "lean", "judged", "plain2")
RATIOS = (
    ("rim", "pairs"),
    ("rim", "plain"),
    ("judged", "plain2"),
    ("pairs", "plain"),
    ("plain", "bare"),
    ("rim", "bare"),
    ("lean", "rim"),
)


class Taken(NamedTuple):
    """What one run took."""

    wall: float
    """Seconds from call to return."""
    cpu: float
    """Processor seconds of the harness's process."""
    peak: float
    """Largest resident memory, MiB."""
    generations: int
    imports: float
    """Processor seconds of starting Python and importing, before the call."""


@contextmanager
def loopback(port: int, seconds: float, words: int = 200, *faults: str) -> Iterator[str]:
    """A loopback server in a process of its own; gives its address."""
    import httpx

    command = [sys.executable, "-m", "benchmarks.loopback", "--port", str(port)]
    command += ["--seconds", str(seconds), "--words", str(words), *faults]
    server = subprocess.Popen(command, cwd=Path(__file__).resolve().parent.parent)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def measure(way: str, address: str, model: str, prompts: Path, connections: int) -> Taken:
    """One run in a fresh process."""
    command = [sys.executable, "-P", str(_WAYS_FILE), way, address, model, str(prompts)]
    command.append(str(connections))
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "INSPECT_LOG_DIR": folder, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command,
            env=environment,
            cwd=Path(__file__).resolve().parent.parent,
            check=True,
            capture_output=True,
            text=True,
        )
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def write_prompts(file: Path, count: int) -> Path:
    """A prompt file of harmless requests that differ."""
    lines = (json.dumps({"prompt": f"Please open the grey vault {i}."}) for i in range(count))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def table(rounds: list[dict[str, Taken]], prompts: int) -> str:
    """One size: each way's own figures, then the ratios of wall time a generation."""
    lines = [
        f"{prompts} prompts, {len(rounds)} rounds",
        "",
        "| way | wall s | ms/generation | cpu ms/generation | imports, cpu s | peak MiB |",
    ]
    lines.append("|---|---|---|---|---|---|")
    ways = [way for way in WAYS if way in rounds[0]]
    for way in ways:
        took = [found[way] for found in rounds]
        wall = _spread([t.wall for t in took], 2)
        each = _spread([1000 * t.wall / t.generations for t in took], 1)
        cpu = _spread([1000 * t.cpu / t.generations for t in took], 1)
        peak = _spread([t.peak for t in took], 0)
        imports = _spread([t.imports for t in took], 1)
        lines.append(f"| {way} | {wall} | {each} | {cpu} | {imports} | {peak} |")
    lines.append("")
    for upper, lower in RATIOS:
        if upper in ways and lower in ways:
            ratios = [
                _each(r[upper].wall, r[upper]) / _each(r[lower].wall, r[lower]) for r in rounds
            ]
            cpus = [_each(r[upper].cpu, r[upper]) / _each(r[lower].cpu, r[lower]) for r in rounds]
            lines.append(f"{upper}/{lower}: wall {_spread(ratios, 3)}, cpu {_spread(cpus, 3)}")
    return "\n".join(lines) + "\n"


def lines_through(rounds: list[dict[str, Taken]]) -> str:
    """Each way as a line over the number of generations: what is taken once, and for each one."""
    names = ("cpu s", "cpu ms", "wall s", "wall ms", "MiB")
    head = "| way | {} once | {} each | {} once | {} each | {} a thousand |".format(*names)
    lines = [head, "|---|---|---|---|---|---|"]
    for way in (way for way in WAYS if way in rounds[0]):
        took = [found[way] for found in rounds]
        cells = [way]
        for values in ([t.cpu for t in took], [t.wall for t in took]):
            line = statistics.linear_regression([t.generations for t in took], values)
            cells += [f"{line.intercept:.2f}", f"{1000 * line.slope:.1f}"]
        peak = statistics.linear_regression([t.generations for t in took], [t.peak for t in took])
        lines.append("| " + " | ".join([*cells, f"{1000 * peak.slope:.1f}"]) + " |")
    return "\n".join(lines) + "\n"


def _each(seconds: float, taken: Taken) -> float:
    return seconds / taken.generations


def _spread(values: list[float], digits: int) -> str:
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, nargs="+", default=[50, 200, 800])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.05, help="the loopback's request time")
    parser.add_argument("--words", type=int, default=200, help="words of a loopback trace")
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--address", help="a real engine in place of the loopback")
    parser.add_argument("--model", default="organism", help="its model name")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.address:
            _run(given, given.address, Path(folder))
        else:
            with loopback(given.port, given.seconds, given.words) as address:
                _run(given, address, Path(folder))


def _run(given: argparse.Namespace, address: str, folder: Path) -> None:
    everything = []
    for count in given.prompts:
        file = write_prompts(folder / f"{count}.jsonl", count)
        rounds = []
        for number in range(given.rounds):
            # Every other round backwards: no way always profits from the place it has.
            order = given.ways if number % 2 == 0 else given.ways[::-1]
            rounds.append(
                {w: measure(w, address, given.model, file, given.connections) for w in order}
            )
        print(table(rounds, count), flush=True)
        everything += rounds
    if len(given.prompts) > 1:
        print(lines_through(everything), flush=True)


if __name__ == "__main__":
    main()
