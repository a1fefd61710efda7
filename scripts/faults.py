#!/usr/bin/env python3
"""What happens to a run when things break: killed, cut off, flooded, full, hung, corrupted, doubled.

    python scripts/faults.py                    # every fault, one row of a table each
    python scripts/faults.py kill_and_resume    # one of them

Each fault strikes a paired, judged run against the loopback engine (benchmarks/loopback.py), whose replies
depend on the request alone. After the fault the run is taken up again as a user would, and what the log
folder then holds is compared with an undisturbed run: every prompt in both modes once, every verdict the
same. It exits with 1 when a sample is lost, doubled, or judged otherwise.
"""

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROMPTS = 40
Key = tuple[str, str, int]


@dataclass
class Outcome:
    """What a fault did, and what was left afterwards."""

    verdicts: Counter[tuple[Key, bool | None]]
    """Every observation in the folder's finished logs: prompt, mode, epoch and verdict."""
    notes: list[str] = field(default_factory=list)


class Bench:
    """A folder to work in, a prompt file, and the way to run the task."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.prompts = folder / "prompts.jsonl"
        lines = (json.dumps({"prompt": f"Please open the grey vault {i}."}) for i in range(PROMPTS))
        self.prompts.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @contextmanager
    def engine(self, *faults: str, seconds: float = 0.2) -> Iterator["Engine"]:
        """A loopback engine, alive when it is handed over."""
        engine = Engine(self.port, seconds, faults)
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()

    def start(
        self, logs: Path, *more: str, command: str = "eval-set", files: int | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start the run as a process group of its own; `files` limits the size of its files, in bytes."""
        inspect = str(Path(sys.executable).parent / "inspect")
        line = [inspect, command, "rim_eval/prompts", "--model", "vllm/organism"]
        line += ["--model-role", "grader=vllm/grader", "-T", f"file={self.prompts}"]
        line += ["-T", "judge=hexphi_own", "-T", "answer_tokens=64", "-T", "thinking_tokens=128"]
        line += ["--log-dir", str(logs), "--display", "plain", "--max-connections", "6", *more]
        return self.launch(line, logs, files)

    def launch(
        self, line: list[str], logs: Path, files: int | None = None
    ) -> "subprocess.Popen[bytes]":
        """Any command, with the run's environment; what it says is kept beside its logs."""
        address = f"http://127.0.0.1:{self.port}/v1"
        own = {"VLLM_BASE_URL": address, "VLLM_API_KEY": "none"}
        own |= {"XDG_DATA_HOME": str(self.folder / "data"), "OMP_NUM_THREADS": "1"}
        logs.parent.mkdir(parents=True, exist_ok=True)

        def limit() -> None:
            if files is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (files, files))

        with self.output_file(logs).open("ab") as output:
            return subprocess.Popen(
                line,
                env={**os.environ, **own},
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=limit,
            )

    def output_file(self, logs: Path) -> Path:
        """Give the file that holds the output of the runs into a folder."""
        return logs.parent / f"{logs.name}.txt"

    def finish(self, logs: Path, *more: str, limit: float = 300) -> int:
        """Run to the end; the exit status."""
        return self.start(logs, *more).wait(timeout=limit)


class Engine:
    """The loopback engine's process."""

    def __init__(self, port: int, seconds: float, faults: tuple[str, ...]) -> None:
        self.port, self.seconds, self.faults = port, seconds, faults
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "benchmarks.loopback", "--port", str(self.port)]
        command += ["--seconds", str(self.seconds), "--words", "50", *self.faults]
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
        )
        until = time.monotonic() + 60
        while self.requests() is None:
            if time.monotonic() > until:
                raise SystemExit("the loopback engine did not start")
            time.sleep(0.1)

    def requests(self) -> int | None:
        """Requests so far; None while it does not answer."""
        import httpx

        try:
            reply = httpx.get(f"http://127.0.0.1:{self.port}/v1/models", timeout=5)
        except httpx.TransportError:
            return None
        return int(reply.json()["requests"])

    def await_requests(self, count: int, limit: float = 120) -> None:
        """Wait until so many requests have come."""
        until = time.monotonic() + limit
        while (self.requests() or 0) < count and time.monotonic() < until:
            time.sleep(0.05)

    def stop(self) -> None:
        """Kill it: an engine that dies says nothing."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the whole group: nothing can be put in order first."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read(logs: Path) -> Counter[tuple[Key, bool | None]]:
    """Every observation that the project's own reader finds in a log folder, however often."""
    from rim_eval.errors import RimError
    from rim_eval.observations import read_observations, to_rows

    try:
        rows = to_rows(read_observations([logs]).frame)
    except RimError:
        return Counter()
    return Counter(((row.prompt_id, row.mode, row.epoch), row.verdict) for row in rows)


# ---- the faults ----


def kill_and_resume(bench: Bench) -> Outcome:
    """SIGKILL at random moments, `inspect eval-set` again each time."""
    chance = random.Random(20)
    logs, moments = bench.folder / "killed", []
    with bench.engine() as engine:
        for _ in range(8):
            process = bench.start(logs)
            seen = engine.requests() or 0
            strikes = chance.randint(1, 40)
            engine.await_requests(seen + strikes, limit=60)
            if process.poll() is not None:
                break
            kill(process)
            moments.append(strikes)
        status = bench.finish(logs)
        needed, sent = 4 * PROMPTS, engine.requests()
    notes = [f"killed {len(moments)} times, after {moments} requests each", f"exit {status}"]
    return Outcome(read(logs), [*notes, f"{sent} requests sent for {needed} needed"])


def kill_and_retry(bench: Bench) -> Outcome:
    """SIGKILL, then `inspect eval-retry` of the log that was left."""
    logs = bench.folder / "retried"
    with bench.engine() as engine:
        process = bench.start(logs, command="eval")
        engine.await_requests(80)
        kill(process)
        [log] = logs.glob("*.eval")
        inspect = str(Path(sys.executable).parent / "inspect")
        again = [inspect, "eval-retry", str(log), "--log-dir", str(logs), "--display", "plain"]
        status = bench.launch(again, logs).wait(timeout=300)
        sent = engine.requests()
    return Outcome(read(logs), [f"exit {status}", f"{sent} requests sent for {4 * PROMPTS} needed"])


def server_dies_and_returns(bench: Bench) -> Outcome:
    """The engine is killed mid-run and started again seconds later; the run is left alone."""
    logs = bench.folder / "server"
    with bench.engine() as engine:
        process = bench.start(logs)
        engine.await_requests(60)
        engine.stop()
        time.sleep(4)
        engine.start()
        status = process.wait(timeout=300)
    return Outcome(read(logs), [f"exit {status}, no help needed"])


def server_dies_for_good(bench: Bench) -> Outcome:
    """The engine dies mid-run; the run gives up (`--max-retries 1`), and is resumed on a new engine."""
    logs = bench.folder / "gone"
    with bench.engine("--dies-at", "70") as engine:
        first = bench.finish(logs, "--max-retries", "1", "--retry-attempts", "1")
        left = sum(read(logs).values())
        engine.stop()
    with bench.engine() as engine:
        status = bench.finish(logs)
        sent = engine.requests()
        unscored = sum(n for (_, verdict), n in read(logs).items() if verdict is None)
        if unscored:
            judge_again(bench, logs)
    notes = [f"exit {first} with {left} rows, then exit {status}, {sent} more requests"]
    return Outcome(
        read(logs), [*notes, f"{unscored} unscored rows judged again without generating"]
    )


def judge_again(bench: Bench, logs: Path) -> None:
    """Judge the finished log again, as a user does whose judge was away; the old log leaves the folder."""
    [log] = logs.glob("*.eval")
    rim_eval = str(Path(sys.executable).parent / "rim-eval")
    line = [rim_eval, "judge", "run", str(log), "--judge", "hexphi_own", "--grader", "vllm/grader"]
    bench.launch([*line, "--overwrite"], logs).wait(timeout=300)
    log.rename(bench.folder / log.name)


def storm_429(bench: Bench) -> Outcome:
    """Forty requests in a row are answered 429."""
    return _storm(bench, "429")


def storm_500(bench: Bench) -> Outcome:
    """Forty requests in a row are answered 500."""
    return _storm(bench, "500")


def _storm(bench: Bench, status: str) -> Outcome:
    logs = bench.folder / f"storm{status}"
    with bench.engine("--storm", f"{status}:30:70") as engine:
        start = time.monotonic()
        exit_ = bench.finish(logs, limit=600)
        seconds, sent = time.monotonic() - start, engine.requests()
    return Outcome(read(logs), [f"exit {exit_} after {seconds:.0f} s, {sent} requests"])


def hanging_judge(bench: Bench) -> Outcome:
    """Twenty requests, the judge's among them, are never answered: given up after 5 s and asked again."""
    logs, judge = bench.folder / "hanging", bench.folder / "impatient.yaml"
    shipped = (REPOSITORY / "judges" / "hexphi_own.yaml").read_text(encoding="utf-8")
    judge.write_text(f"{shipped}\ngrader: {{call_timeout: 5}}\n", encoding="utf-8")
    with bench.engine("--hang", "40:60") as engine:
        start = time.monotonic()
        exit_ = bench.finish(logs, "--attempt-timeout", "5", "-T", f"judge={judge}", limit=600)
        seconds, sent = time.monotonic() - start, engine.requests()
    return Outcome(read(logs), [f"exit {exit_} after {seconds:.0f} s, {sent} requests"])


def full_disk(bench: Bench) -> Outcome:
    """Files may not grow beyond 48 KiB, as on a full disk; then there is room again."""
    logs = bench.folder / "full"
    with bench.engine():
        first = bench.start(logs, files=48 * 1024).wait(timeout=300)
        output = bench.output_file(logs).read_text(errors="replace")
        message = next((text for text in ("File too large", "disk") if text in output), "nothing")
        left = sum(read(logs).values())
        status = bench.finish(logs)
    return Outcome(
        read(logs),
        [f"exit {first}, it said {message!r}, {left} finished rows", f"then exit {status}"],
    )


def corrupt_log(bench: Bench) -> Outcome:
    """A killed run's log is cut in half and written over; the set is resumed."""
    logs = bench.folder / "corrupt"
    with bench.engine() as engine:
        process = bench.start(logs)
        engine.await_requests(110)
        kill(process)
        [log] = logs.glob("*.eval")
        content = log.read_bytes()
        log.write_bytes(content[: len(content) // 2] + bytes(200))
        status = bench.finish(logs)
        output = bench.output_file(logs).read_text(errors="replace")
        note = f"exit {status}" + (", it named the file" if log.name in output else "")
        if status:
            log.rename(bench.folder / log.name)
            note += f"; with the file taken away exit {bench.finish(logs)}"
    return Outcome(read(logs), [note])


def two_runs_in_one_folder(bench: Bench) -> Outcome:
    """The same set is started twice at once, into one folder: the card refuses what ran twice."""
    logs = bench.folder / "twice"
    with bench.engine() as engine:
        both = [bench.start(logs), bench.start(logs)]
        statuses = [process.wait(timeout=300) for process in both]
        sent = engine.requests()
    rows = sum(read(logs).values())
    rim_eval = str(Path(sys.executable).parent / "rim-eval")
    card = [rim_eval, "card", str(logs), "--out", str(bench.folder / "card")]
    refused = bench.launch(card, logs).wait(timeout=300)
    oldest = min(logs.glob("*.eval"))
    oldest.rename(bench.folder / oldest.name)
    notes = [f"exits {statuses}, {sent} requests sent for {4 * PROMPTS} needed, {rows} rows"]
    notes.append("the card refused them by name" if refused else "THE CARD TOOK THEM")
    return Outcome(read(logs), [*notes, "right with one log taken away"])


FAULTS: dict[str, Callable[[Bench], Outcome]] = {
    fault.__name__: fault
    for fault in (
        kill_and_resume,
        kill_and_retry,
        server_dies_and_returns,
        server_dies_for_good,
        storm_429,
        storm_500,
        hanging_judge,
        full_disk,
        corrupt_log,
        two_runs_in_one_folder,
    )
}


def compare(outcome: Outcome, undisturbed: Outcome) -> tuple[int, int, int]:
    """Observations lost, doubled, and with another verdict than the undisturbed run's."""
    right = dict(key for key in undisturbed.verdicts)
    times = Counter(key for (key, _), n in outcome.verdicts.items() for _ in range(n))
    lost = sum(key not in times for key in right)
    doubled = sum(n - 1 for n in times.values())
    changed = sum(verdict is not right[key] for key, verdict in outcome.verdicts)
    return lost, doubled, changed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faults", nargs="*", choices=[*FAULTS, []], default=[])
    parser.add_argument("--port", type=int, default=8195)
    parser.add_argument("--keep", type=Path, help="folder to keep logs in")
    given = parser.parse_args()
    folder = given.keep or Path(tempfile.mkdtemp(prefix="rim-faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    wrong = run(given.faults or list(FAULTS), Bench(folder, given.port))
    if given.keep is None:
        shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


def run(names: list[str], bench: Bench) -> int:
    """Print a row for each fault; how many went wrong."""
    with bench.engine(seconds=0.01):
        bench.finish(bench.folder / "undisturbed")
    undisturbed = Outcome(read(bench.folder / "undisturbed"))
    expected = 2 * PROMPTS
    if sum(undisturbed.verdicts.values()) != expected:
        raise SystemExit(
            f"the undisturbed run has {len(undisturbed.verdicts)} rows, not {expected}"
        )
    print("| fault | rows | lost | doubled | verdicts changed | s | what happened |")
    print("|---|---|---|---|---|---|---|")
    wrong = 0
    for name in names:
        start = time.monotonic()
        outcome = FAULTS[name](bench)
        bad = compare(outcome, undisturbed)
        wrong += any(bad)
        cells = [name, str(sum(outcome.verdicts.values())), *map(str, bad)]
        cells += [f"{time.monotonic() - start:.0f}", "; ".join(outcome.notes)]
        print("| " + " | ".join(cells) + " |", flush=True)
    return wrong


if __name__ == "__main__":
    main()
