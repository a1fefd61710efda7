"""Speed and memory of reading observations: a million rows of Parquet, and Inspect logs by their summaries.

python benchmarks/observations.py            # one million rows, two logs of 2,000 samples
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1_000, 2_000, 4_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "PATH"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        measure(*args.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        run("write", make_table(path / "rows.parquet", args.rows))
        child("parquet", path / "rows.parquet")
        for size in SIZES:
            child("log", make_log(path / f"{size}.eval", size))


def run(what: str, path: Path) -> None:
    print(f"{what}: {path.stat().st_size / 1e6:.1f} MB")


def child(what: str, path: Path) -> None:
    """Each measurement in a process of its own, so that its peak memory is its own."""
    subprocess.run([sys.executable, __file__, "--child", what, str(path)], check=True)


def measure(what: str, path: str) -> None:
    import pandas  # noqa: F401  its import is not the reading's time
    import pyarrow.parquet  # noqa: F401

    from rim_eval.card import make_card
    from rim_eval.observations import read_observations

    if what == "log":
        import inspect_ai.log

        start = time.process_time()
        inspect_ai.log.read_eval_log_sample_summaries(path)
        print(f"Inspect's own reading of the summaries: {time.process_time() - start:.2f} s CPU")
    before, start, cpu = peak(), time.perf_counter(), time.process_time()
    table = read_observations([path])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    n = len(table.frame) // (2 if what == "log" else 1)
    unit = "samples" if what == "log" else "rows"
    print(
        f"read {what}: {n:,} {unit} in {seconds:.2f} s, {cpu:.2f} s CPU ({n / cpu:,.0f} {unit}/s CPU), "
        f"peak {peak():.0f} MiB ({before:.0f} MiB before)"
    )
    cpu = time.process_time()
    make_card(table.of_model(table.models[0]))
    print(f"  card of one model in {time.process_time() - cpu:.2f} s CPU, peak {peak():.0f} MiB")


def peak() -> float:
    """Most memory that this process ever held, MiB (getrusage would count its parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def make_table(path: Path, rows: int) -> Path:
    """`rows` rows: ten models, five sets, both modes, ten epochs."""
    import numpy as np
    import pandas as pd

    from rim_eval.observations import Table, as_table, write_observations

    rng = np.random.default_rng(0)
    index = np.arange(rows)
    prompt = index // 20 % max(rows // 200, 1)
    verdict = rng.random(rows) < 0.3
    frame = pd.DataFrame(
        {
            "run": "r",
            "model": np.char.add("model-", (index * 10 // rows).astype(str)),
            "dataset": np.char.add("set-", (prompt % 5).astype(str)),
            "prompt_id": np.char.add("prompt-", prompt.astype(str)),
            "kind": "harmful",
            "category": np.char.add("category ", (prompt % 11).astype(str)),
            "mode": np.where(index % 2 == 0, "think", "no_think"),
            "arm_kind": "switch",
            "epoch": index // 2 % 10 + 1,
            "verdict": verdict,
            "score": np.where(verdict, 5.0, 1.0),
            "judge": "hexphi@1",
            "adopted": index % 2 == 0,
            "visibility": "full",
            "trace_tokens": rng.integers(0, 4000, rows),
            "answer_tokens": rng.integers(0, 900, rows),
            "over_budget": False,
            "stop_reason": "stop",
            "looping": False,
        }
    )
    write_observations(Table(as_table(frame, "benchmark")), path)
    return path


def make_log(path: Path, samples: int) -> Path:
    """A log of `samples` samples, each with both modes' rows and a long reply that must not be read."""
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalSample,
        EvalSpec,
        write_eval_log,
    )
    from inspect_ai.scorer import Score

    from rim_eval.observations import Observation

    def row(number: int, mode: str) -> dict[str, object]:
        about = Observation.model_validate(
            {"model": "m/m", "dataset": "d", "prompt_id": f"p{number}", "kind": "harmful", "mode": mode,
             "arm_kind": "switch", "verdict": number % 3 == 0, "judge": "j@1", "judge_sha256": "a" * 64,
             "judge_sees": "answer", "adopted": mode == "think", "visibility": "full", "stop_reason": "stop",
             "trace_tokens": 500, "answer_tokens": 100, "output_tokens": 600}
        )  # fmt: skip
        return about.model_dump(mode="json", exclude_defaults=True)

    made = [
        EvalSample(
            id=f"p{number}", epoch=1, input="harmless " * 20, target="",
            store={"text": "word " * 4000},
            scores={"rim": Score(value="x", metadata={m: row(number, m) for m in ("think", "no_think")})},
        )
        for number in range(samples)
    ]  # fmt: skip
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00", task="rim_eval/d", model="m/m", config=EvalConfig(),
        dataset=EvalDataset(name="d", samples=samples),
    )  # fmt: skip
    write_eval_log(EvalLog(status="success", eval=spec, samples=made), str(path))
    return path


if __name__ == "__main__":
    main()
