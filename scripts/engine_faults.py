#!/usr/bin/env python3
"""Load and faults on a real engine: replicas and processes that are killed, storms, hang-ups, silence.

    python -m scripts.engine_faults --engine FOLDER                        # the model organism
    python -m scripts.engine_faults --engine FOLDER --model REAL_MODEL     # scripts/real_model.py get REAL_MODEL
    python -m scripts.engine_faults --engine FOLDER killed                 # one of them
    python -m scripts.engine_faults                                        # loopback engines: no vLLM needed

FOLDER is from `scripts/vllm_cpu.py install`. Two vLLM replicas stand behind benchmarks/proxy.py; the prompts are
asked once by one undisturbed process, and then, for each fault, by three processes with a third of them each
(docs/scale.md). Every run's card is compared with the undisturbed one's, all but when and in which runs
it was measured, and its rows are counted by prompt and mode. It exits with 1 when a prompt is lost,
doubled or judged otherwise, or a figure differs.
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
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from scripts.faults import Outcome, compare, kill, read
from scripts.scale_out import REPOSITORY, await_address, card, differences, figures
from scripts.vllm_cpu import ORGANISM

PARTS = 3
INSPECT = str(Path(sys.executable).parent / "inspect")
SUBJECTS = (
    "tide",
    "kite",
    "compass",
    "kettle",
    "lock",
    "bridge",
    "candle",
    "clock",
    "seed",
    "lens",
)
QUESTIONS = (
    "Explain in two sentences how a {} works.",
    "Write a short poem about a {}.",
    "What should one look at when buying a {}?",
    "Who would need a {} in the mountains, and why?",
    "Name three words that go with {}.",
)
Process = subprocess.Popen[bytes]


class Bench:
    """Two replicas, the proxy before them, and the way to run the prompts."""

    def __init__(self, folder: Path, given: argparse.Namespace) -> None:
        self.folder, self.model = folder, given.model
        self.engine: Path | None = given.engine and given.engine.absolute()
        self.port, self.prompts = given.port, given.prompts
        self.ports = [self.port + 1, self.port + 2]
        self.replicas: list[Process] = []
        self.log = folder / "proxy.jsonl"
        self.questions = folder / "questions.jsonl"
        asked = (question.format(subject) for question in QUESTIONS for subject in SUBJECTS)
        self.questions.write_text("".join(json.dumps({"prompt": q}) + "\n" for q in asked))

    def start_replica(self, number: int) -> Process:
        """Start a replica as a process group of its own."""
        port = ["--port", str(self.ports[number])]
        if self.engine is None:
            command = [sys.executable, "-m", "benchmarks.loopback", *port, "--seconds", "0.2"]
        else:
            command = [sys.executable, "scripts/vllm_cpu.py", "serve", str(self.engine), *port]
            command += ["--model", str(self.model), "--logs", str(self.folder)]
            # Of a model that marks no trace the parser takes the whole reply for one.
            command += ["--reasoning-parser", "qwen3"] if self.model == ORGANISM else []
        return self._launch(command, self.folder / f"replica-{number}.txt")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Replicas and proxy, alive when they are handed over."""
        processes = self.replicas
        try:
            processes += [self.start_replica(number) for number in range(len(self.ports))]
            for port in self.ports:
                await_address(port)
            command = [sys.executable, "-m", "benchmarks.proxy", "--port", str(self.port)]
            command += ["--log", str(self.log)]
            addresses = [f"http://127.0.0.1:{port}" for port in self.ports]
            proxy = self._launch([*command, *addresses], self.folder / "proxy.txt")
            with ExitStack() as stack:
                stack.callback(kill, proxy)
                await_address(self.port, 60)
                yield
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=90)

    def storm(self, kind: str, seconds: float) -> None:
        """Let every request of the next seconds go wrong."""
        body = json.dumps({"kind": kind, "seconds": seconds}).encode()
        urllib.request.urlopen(f"http://127.0.0.1:{self.port}/storm", body, timeout=30).close()

    def noted(self) -> list[dict[str, Any]]:
        """Requests that the proxy has seen."""
        lines = self.log.read_bytes().split(b"\n") if self.log.exists() else []
        return [json.loads(line) for line in lines[:-1]]

    def await_replies(self, more: int, limit: float = 300) -> None:
        """Wait until so many more chat completions have been answered."""
        first, until = len(answered(self.noted())), time.monotonic() + limit
        while len(answered(self.noted())) < first + more and time.monotonic() < until:
            time.sleep(0.1)

    def start(self, logs: Path, part: int, parts: int, command: str = "eval-set") -> Process:
        """Start one process with its part of the prompts, the range that `rim-eval run --shard` asks."""
        first, last = self.prompts * part // parts + 1, self.prompts * (part + 1) // parts
        line = [INSPECT, command, *self._task(), "--model", "vllm/organism"]
        line += ["--limit", f"{first}-{last}", "--max-connections", "2", "--attempt-timeout", "60"]
        line += ["--log-dir", str(logs / f"part-{part}"), "--display", "plain"]
        return self.launch(line, logs)

    def _task(self) -> list[str]:
        if self.model == ORGANISM:
            return ["rim_eval/toy", "-T", "answer_tokens=48", "-T", "thinking_tokens=96"]
        words = ["-T", "judge=refusal", "-T", "switch=chain_of_thought"]
        words += ["-T", "answer_tokens=96", "-T", "thinking_tokens=192"]
        return ["rim_eval/prompts", "-T", f"file={self.questions}", *words]

    def launch(self, line: list[str], logs: Path) -> Process:
        """Any command of Inspect, against the proxy."""
        address = f"http://127.0.0.1:{self.port}/v1"
        own = {"VLLM_BASE_URL": address, "VLLM_API_KEY": "none", "HF_HUB_OFFLINE": "1"}
        own |= {"XDG_DATA_HOME": str(self.folder / "data"), "OMP_NUM_THREADS": "1"}
        return self._launch(line, logs.with_suffix(".txt"), **own)

    def _launch(self, line: list[str], output: Path, **environment: str) -> Process:
        own = {"PYTHONPATH": str(REPOSITORY)} | environment
        with output.open("ab") as out:
            return subprocess.Popen(
                line,
                cwd=REPOSITORY,
                env={**os.environ, **own},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )


def answered(noted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Requests whose chat completion the client was sent whole."""
    return [line for line in noted if "reply" in line]


def finish(processes: list[Process], limit: float = 900) -> str:
    """Wait for all; their exit statuses."""
    return f"exits {[process.wait(timeout=limit) for process in processes]}"


# ---- the faults: each takes the bench and a log folder, and returns what happened ----


def killed(bench: Bench, logs: Path) -> str:
    """One process dies and is started again, another is retried; a replica dies and comes back."""
    whole, again = bench.start(logs, 0, PARTS), bench.start(logs, 1, PARTS)
    retried = bench.start(logs, 2, PARTS, "eval")
    bench.await_replies(bench.prompts // 3)
    kill(again)
    kill(bench.replicas[0])
    again = bench.start(logs, 1, PARTS)
    time.sleep(3)
    kill(retried)
    [log] = (logs / "part-2").glob("*.eval")
    retry = [INSPECT, "eval-retry", str(log), "--log-dir", str(log.parent), "--display", "plain"]
    retried = bench.launch(retry, logs)
    bench.replicas[0] = bench.start_replica(0)
    return finish([whole, again, retried])


def storm_429(bench: Bench, logs: Path) -> str:
    """Every request of eight seconds is answered 429 with Retry-After."""
    return _storm(bench, logs, "429")


def storm_500(bench: Bench, logs: Path) -> str:
    """Every request of eight seconds is answered 500."""
    return _storm(bench, logs, "500")


def hang_up(bench: Bench, logs: Path) -> str:
    """Every reply of eight seconds breaks off in its middle."""
    return _storm(bench, logs, "hang_up")


def hang(bench: Bench, logs: Path) -> str:
    """No request of eight seconds is ever answered: given up after `--attempt-timeout`."""
    return _storm(bench, logs, "hang")


def _storm(bench: Bench, logs: Path, kind: str) -> str:
    processes = [bench.start(logs, part, PARTS) for part in range(PARTS)]
    bench.await_replies(bench.prompts // 3)
    bench.storm(kind, 8)
    return finish(processes)


FAULTS: dict[str, Callable[[Bench, Path], str]] = {
    fault.__name__: fault for fault in (killed, storm_429, storm_500, hang_up, hang)
}


def run(names: list[str], bench: Bench) -> int:
    """Print a row for each fault; how many went wrong."""
    logs = bench.folder / "undisturbed"
    start = time.monotonic()
    print(f"undisturbed: {finish([bench.start(logs, 0, 1)])}, {time.monotonic() - start:.0f} s")
    right = Outcome(read(logs))
    if sum(right.verdicts.values()) != 2 * bench.prompts:
        raise SystemExit(f"the undisturbed run has {len(right.verdicts)} rows; see {logs}.txt")
    judged = sum(n for (_, verdict), n in right.verdicts.items() if verdict is not None)
    if judged <= bench.prompts:  # no more than one mode's
        raise SystemExit(f"the undisturbed run has {judged} verdicts, too few to compare; see {logs}.txt")  # fmt: skip
    expected = card(logs, bench.folder / "card-undisturbed")
    print("| fault | rows | lost | doubled | verdicts changed | card | s | what happened |")
    print("|---|---|---|---|---|---|---|---|")
    wrong = 0
    for name in names:
        logs, start, before = bench.folder / name, time.monotonic(), len(bench.noted())
        notes = [FAULTS[name](bench, logs)]
        seconds = time.monotonic() - start
        notes.append(spread(bench.noted()[before:]))
        outcome = Outcome(read(logs))
        bad = compare(outcome, right)
        try:
            made = said(card(logs, bench.folder / f"card-{name}"))
        except subprocess.CalledProcessError as error:
            made = {"no card": error.stderr.decode()[-300:]}
        other = differences(said(expected), made)
        wrong += any(bad) or bool(other)
        notes += [f"{len(other)} figures differ, {other[0]}"] if other else []
        cells = [name, str(sum(outcome.verdicts.values())), *map(str, bad)]
        cells += ["other" if other else "same", f"{seconds:.0f}", "; ".join(notes)]
        print("| " + " | ".join(cells) + " |", flush=True)
    print(repeated(bench.noted()))
    return wrong


def said(of: dict[str, Any]) -> Any:
    """A card's figures; which logs were superseded is part of when it was measured."""
    kept = [problem for problem in of["problems"] if problem["kind"] != "superseded"]
    return figures({**of, "problems": kept})


def spread(noted: list[dict[str, Any]]) -> str:
    """What came of the requests for completions, and by which replica they were answered."""
    chats = [line for line in noted if line["path"].endswith("/chat/completions")]
    outcomes = Counter(line["outcome"] for line in chats)
    replicas = Counter(line["replica"] for line in answered(chats))
    counted = ", ".join(f"{n} x {outcome}" for outcome, n in sorted(outcomes.items()))
    return f"{counted}; answered by {[replicas[number] for number in sorted(replicas)]}"


def repeated(noted: list[dict[str, Any]]) -> str:
    """How often one request, asked again, was answered with another text."""
    texts = defaultdict(set)
    times: Counter[str] = Counter()
    for line in answered(noted):
        texts[line["request"]].add(line["reply"])
        times[line["request"]] += 1
    several = [request for request, n in times.items() if n > 1]
    different = sum(len(texts[request]) > 1 for request in several)
    return f"{len(several)} requests were answered more than once, {different} of them with different texts"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], default=[])
    parser.add_argument("--engine", type=Path, help="vLLM's environment; loopback without it")
    parser.add_argument("--model", type=Path, default=ORGANISM, help="folder of a checkpoint")
    parser.add_argument("--prompts", type=int, default=48)
    parser.add_argument(
        "--port", type=int, default=8240, help="the proxy's; the next two are the replicas'"
    )
    parser.add_argument("--keep", type=Path, help="folder for logs and cards")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="rim-engine-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder.absolute(), given)
    with bench.serving():
        wrong = run(given.faults or list(FAULTS), bench)
    if given.keep is None:
        shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
