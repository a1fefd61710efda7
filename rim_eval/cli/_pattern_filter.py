"""`rim-eval patterns filter`: training data without the rows that show a pattern."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from rim_eval import patterns
from rim_eval.cli._pattern_files import folder
from rim_eval.cli._pattern_monitors import grader_model
from rim_eval.cli._pattern_options import GRADER, MONITOR, PATH
from rim_eval.errors import RimError

__all__ = ["command"]


@click.command("filter")
@click.argument("source")
@MONITOR
@GRADER
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Folder for kept.jsonl, dropped.jsonl and undecided.jsonl.",
)
@click.option(
    "--drop",
    multiple=True,
    default=patterns.PATTERNS,
    show_default=True,
    help="Drop rows that show this (repeatable): a pattern, category, behaviour or mark.",
)
@click.option("--least-severity", type=click.IntRange(1, 3), default=1, show_default=True)
@click.option("--prompt-column", default="prompt", show_default=True)
@click.option("--response-column", default="response", show_default=True)
@click.option(
    "--trace-column",
    help="Column of the trace alone; without it the trace is split off the response.",
)
@click.option("--split", default="train", show_default=True, help="Split of a hub set.")
@click.option("--revision", help="Revision of a hub set.")
def command(source: str, monitor: str, grader: str | None, out: Path, drop: tuple[str, ...], least_severity: int, prompt_column: str, response_column: str, trace_column: str | None, split: str, revision: str | None) -> None:  # fmt: skip
    """Label the training data SOURCE (a .jsonl file, or hf:owner/name) and set rows with a pattern apart.

    A run that was stopped goes on when the same command is given again.
    """
    reader, model = patterns.load_monitor(monitor), grader_model(monitor, grader)
    _refuse_unknown(drop, reader)
    settings = patterns.FilterSettings(
        source=source if not source.startswith("hf:") else f"{source}@{revision or 'main'}:{split}",
        columns=patterns.Columns(
            prompt=prompt_column, response=response_column, trace=trace_column
        ),
        monitor=reader.identity(model),
        drop=tuple(sorted(set(drop))),
        least_severity=least_severity,
    )
    rows = patterns.training_rows(source, split, revision)
    counts = asyncio.run(patterns.filter_rows(rows, settings, reader, folder(out), model))
    click.echo(_says(counts, patterns.drop_reasons(out)))


def _refuse_unknown(drop: Sequence[str], monitor: patterns.Monitor) -> None:
    known = {*monitor.labels, *monitor.grouping.values(), *patterns.MARKS}
    unknown = sorted(set(drop) - known)
    if unknown:
        raise RimError(
            f"--drop {', '.join(unknown)}: this monitor never finds that; it can find "
            f"{', '.join(sorted(known))}."
        )


def _says(counts: Counter[str], reasons: Counter[str]) -> str:
    lines = [", ".join(f"{counts[outcome]} {outcome}" for outcome in patterns.OUTCOMES)]
    if reasons:
        why = ", ".join(f"{name}: {n}" for name, n in reasons.most_common())
        lines.append(f"dropped for {why}")
    return "\n".join(lines)
