"""How time and memory grow: a card with the rows of its table, reading a log with its samples.

python -m benchmarks.growth                            # all sizes; writes reports/growth.svg
python -m benchmarks.growth --rows 10000 --samples 500 # one of each
python -m benchmarks.growth --rows 1000000 --samples --models 10

Each measurement is a process of its own: `rim-eval card` from start to end for a table, `read_observations` (its imports
done) for a log. On a busy machine processor time is the figure; it grows with the load too, so a fixed loop is timed
beside each.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SAMPLES = (500, 2_000, 5_000, 20_000)
PLOT = Path(__file__).parent / "reports" / "growth.svg"
_CARD = "import sys; from rim_eval.cli import main; sys.exit(main())"


class Measured(NamedTuple):
    """One size."""

    what: str
    """`rows` or `samples`."""
    n: int
    cpu: float
    """Seconds."""
    wall: float
    peak: float
    """Most memory of the process, MiB."""
    loop: float
    """Seconds of a fixed loop just before: how fast the machine was."""


class Fit(NamedTuple):
    """Seconds = once + scale * n ** exponent."""

    once: float
    scale: float
    exponent: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--samples", type=int, nargs="*", default=SAMPLES)
    parser.add_argument("--models", type=int, default=1, help="models among the rows, a card each")
    parser.add_argument("--plot", type=Path, help=f"SVG to write; {PLOT.name} for all sizes")
    parser.add_argument("--log", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.log:
        read_log(args.log)
        return
    print("| what | n | CPU s | wall s | peak MiB | the loop, s |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        rows = [measure_card(path, n, args.models) for n in args.rows]
        samples = [measure_log(path, n) for n in args.samples]
    for measured in (rows, samples):
        if len(measured) > 3:
            fit = fitted(measured)
            print(f"{measured[0].what}: {fit.once:.2g} s + {fit.scale:.2g} s n^{fit.exponent:.2f}")
    is_whole = tuple(args.rows) == ROWS and tuple(args.samples) == SAMPLES
    if plot := args.plot or (PLOT if is_whole else None):
        draw(rows, samples, plot)


def measure_card(folder: Path, rows: int, models: int) -> Measured:
    """Time `rim-eval card` of a table, from start to end."""
    table = make_table(folder / f"{rows}.parquet", rows, models)
    words = ["-c", _CARD, "card", str(table), "--out", str(folder / f"card-{rows}")]
    return _measure("rows", rows, words)


def measure_log(folder: Path, samples: int) -> Measured:
    """Time the reading of a log; imports are taken off."""
    log = make_log(folder / f"{samples}.eval", samples)
    return _measure("samples", samples, [__file__, "--log", str(log)])


def _measure(what: str, n: int, words: Sequence[str]) -> Measured:
    loop = seconds_of(lambda: sum(range(50_000_000)))
    start = time.perf_counter()
    child = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    if status:
        raise SystemExit(f"{' '.join(words)} ended with {status}")
    if what == "samples":
        cpu, wall, *parts = map(float, output.split())
        print(f"(of {cpu:.2f} s, Inspect's reading of the summaries is {parts[0]:.2f}; their JSON alone {parts[1]:.2f})")  # fmt: skip
    measured = Measured(what, n, cpu, wall, usage.ru_maxrss / 1024, loop)
    print(f"| {what} | {n:,} | {cpu:.2f} | {wall:.2f} | {measured.peak:.0f} | {loop:.2f} |", flush=True)  # fmt: skip
    return measured


def seconds_of(work: Callable[[], object]) -> float:
    """Processor seconds of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def read_log(path: str) -> None:
    """Print seconds of reading a log (processor, wall), of Inspect's part in it, and of parsing the JSON alone."""
    import zipfile

    import inspect_ai.log
    import pandas  # noqa: F401  its import is not the reading's time
    import pyarrow.parquet  # noqa: F401

    from rim_eval.files import parse_json
    from rim_eval.observations import read_observations

    wall, cpu = time.perf_counter(), time.process_time()
    read_observations([path])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    of_inspect = seconds_of(lambda: inspect_ai.log.read_eval_log_sample_summaries(path))
    floor = seconds_of(lambda: parse_json(zipfile.ZipFile(path).read("summaries.json")))
    print(cpu, wall, of_inspect, floor)


def fitted(measured: Sequence[Measured]) -> Fit:
    """The curve through processor times, as shares of the loop's: least squares of relative errors."""
    from scipy.optimize import curve_fit

    n = np.array([each.n for each in measured], dtype=float)
    usual = float(np.median([each.loop for each in measured]))
    seconds = np.array([each.cpu * usual / each.loop for each in measured])

    def curve(sizes: np.ndarray, once: float, scale: float, exponent: float) -> np.ndarray:
        return np.asarray(once + scale * (sizes / n[-1]) ** exponent)

    (once, scale, exponent), _ = curve_fit(
        curve, n, seconds, (seconds[0], seconds[-1], 1.0), sigma=seconds, bounds=(0, np.inf)
    )
    return Fit(float(once), float(scale / n[-1] ** exponent), float(exponent))


def draw(rows: Sequence[Measured], samples: Sequence[Measured], path: Path) -> None:
    """Plot processor time against size, both axes logarithmic, with the fitted curves."""
    from rim_eval.files import write_whole
    from rim_eval.plots import altair_spec, import_altair, inline, svg

    alt = import_altair()
    panels = []
    for measured, title in ((rows, "rim-eval card"), (samples, "reading an Inspect log")):
        fit = fitted(measured)
        sizes = np.geomspace(measured[0].n, measured[-1].n, 30)
        curve = [{"n": n, "s": fit.once + fit.scale * n**fit.exponent} for n in sizes.tolist()]
        x = alt.X("n:Q", title=measured[0].what).scale(type="log").axis(format="~s", tickCount=4)
        y = alt.Y("s:Q", title="processor time, s").scale(type="log").axis(tickCount=4)
        points = [{"n": each.n, "s": each.cpu} for each in measured]
        layers = alt.layer(
            alt.Chart(inline(curve)).mark_line(color="#888").encode(x=x, y=y),
            alt.Chart(inline(points)).mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y),
        )
        title += f": {fit.once:.2g} s once, then n to the power of {fit.exponent:.2f}"
        panels.append(layers.properties(width=300, height=220, title=title))
    write_whole({path: svg(altair_spec(alt.hconcat(*panels)), hidden=False)})


def make_table(path: Path, rows: int, models: int = 1) -> Path:
    """`rows` rows of `models` models: five sets, both modes, ten epochs."""
    import pandas as pd

    from rim_eval.observations import Table, as_table, write_observations

    rng = np.random.default_rng(0)
    index = np.arange(rows)
    prompt = index // 20 % max(rows // (20 * models), 1)
    verdict = rng.random(rows) < 0.3

    def named(codes: np.ndarray, name: str) -> "pd.Series[Any]":
        return pd.Series(codes).map(lambda code: f"{name}{code}").astype("category")

    frame = pd.DataFrame(
        {
            "run": "r",
            "model": named(index * models // rows, "model-"),
            "dataset": named(prompt % 5, "set-"),
            "prompt_id": named(prompt, "prompt-"),
            "kind": "harmful",
            "category": named(prompt % 11, "category "),
            "mode": pd.Series(np.where(index % 2, "no_think", "think")).astype("category"),
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
            store={"text": "word " * 400},
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
