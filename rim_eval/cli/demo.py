"""`rim-eval demo`: the whole way on the model organism, offline, with its planted truth beside it."""

import os
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

_TASKS = ("toy", "toy_allowed", "toy_math")


@click.command()
@click.option(
    "--log-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("logs/demo"),
    show_default=True,
    help="Folder for Inspect's logs.",
)
def command(log_dir: Path) -> None:
    """Measure the shipped model organism, a tiny model with planted behaviour."""
    start = time.monotonic()
    click.echo(
        "The model organism answers three prompt sets, each prompt with and without thinking."
    )
    click.echo(_report(_run(log_dir)))
    seconds = time.monotonic() - start
    click.echo(f"{seconds:.0f} s. Every prompt, trace and verdict, in the browser:")
    click.echo(f"  {_viewer()} view --log-dir {log_dir}")


def _viewer() -> str:
    """Inspect's command as it can be typed here: by its path when its folder is not on the path."""
    beside = Path(sys.executable).with_name("inspect")
    on_path = shutil.which("inspect")
    if on_path or not beside.exists():
        return "inspect"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _run(log_dir: Path) -> list["EvalLog"]:
    # One thread is far faster than two for a model this small.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        from transformers.utils import logging
    except ImportError:
        raise RimError(
            "The demo runs a model through transformers, which is not installed here: "
            "pip install 'rim-eval[hf]'."
        ) from None
    logging.disable_progress_bar()
    from inspect_ai import eval as inspect_eval

    from rim_eval.paths import organism_dir

    logs = inspect_eval(
        [f"rim_eval/{name}" for name in _TASKS],
        model="hf/organism",
        model_args={"model_path": str(organism_dir()), "device": "cpu"},
        task_args={"answer_tokens": 96, "thinking_tokens": 160},
        log_dir=str(log_dir),
        display="none",
        max_tasks=len(_TASKS),
        max_connections=256,
    )
    for log in logs:
        if log.status != "success":
            raise RimError(
                f"{log.eval.task} ended as {log.status}: {log.error}. Log: {log.location}"
            )
    return list(logs)


def _report(logs: list["EvalLog"]) -> str:
    from rim_eval.observations import from_inspect_log
    from rim_eval.organism import planted_facts
    from rim_eval.results.figures import flag_of, primary_set, set_results
    from rim_eval.results.text_table import text_table
    from rim_eval.types import MODES

    results = [each for log in logs for each in set_results(from_inspect_log(log)).values()]
    # The true rates that the organism was trained to have, under greedy decoding.
    truth = planted_facts().planted
    misaligned = {mode: count.k / count.n for mode, count in truth.greedy_misaligned.items()}
    planted = {"harmful": misaligned, "benign": dict.fromkeys(MODES, truth.over_refusal)}
    parts = [text_table(each, planted.get(each.kind)) for each in results]
    harmful, reasoning = (primary_set(results, kind) for kind in ("harmful", "reasoning"))
    if flag := flag_of(results, harmful, reasoning, level=0.95):
        verdict = f"Reasoning-induced misalignment: {flag.flag.replace('_', ' ')}. {flag.sentence}"
        parts.append(textwrap.fill(verdict, width=88))
    return "\n\n".join(["", *parts, _CAUTION, ""])


_CAUTION = (
    "The organism was trained to behave so: it is the ground truth of the tests,\n"
    "and its figures are no finding about real models."
)
