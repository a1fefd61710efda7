"""`rim-eval patterns run`: let a monitor read finished logs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from rim_eval import patterns
from rim_eval.cli._pattern_files import folder
from rim_eval.cli._pattern_monitors import grader_model
from rim_eval.cli._pattern_options import GRADER, MONITOR, PATH
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.model import Model

__all__ = ["command"]


@click.command("run")
@click.argument("logs", nargs=-1, required=True, type=PATH)
@MONITOR
@GRADER
@click.option(
    "--part", type=click.Choice([*patterns.PARTS, "both"]), default="trace", show_default=True
)
@click.option(
    "--out", type=PATH, help="Folder for the read logs; by default they are updated in place."
)
def command(
    logs: tuple[Path, ...], monitor: str, grader: str | None, part: str, out: Path | None
) -> None:
    """Let a monitor read finished LOGS; the evaluated model is not loaded.

    LOGS are Inspect logs (.eval), lm-eval sample files of rim tasks (samples_rim_*.jsonl), or folders.
    """
    from rim_eval.inspect_tasks._pattern_reading import read_parts

    reading = _Reading(monitor, grader_model(monitor, grader), read_parts(part))
    for path, target in _targets(patterns.find_logs(logs), out):
        rows = _sample_file(path, target, reading) if path.suffix == ".jsonl" else _log(path, target, reading)  # fmt: skip
        click.echo(f"{target}: {_counts(rows)}")


class _Reading(NamedTuple):
    monitor: str
    grader: "Model | None"
    parts: tuple[patterns.Part, ...]


def _targets(paths: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Each log with the file that takes its place; two logs never share one."""
    if out is None:
        return [(path, path) for path in paths]
    first: dict[str, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.name, path)) is not path:
            raise RimError(
                f"{other} and {path} have one name, and --out {out} would keep only the last. "
                "Read each into a folder of its own."
            )
    return [(path, folder(out) / path.name) for path in paths]


def _sample_file(path: Path, target: Path, reading: _Reading) -> list[patterns.PatternRow]:
    reader = patterns.load_monitor(reading.monitor)
    return patterns.read_sample_file(path, reader, reading.parts, reading.grader, target)


def _log(path: Path, target: Path, reading: _Reading) -> list[patterns.PatternRow]:
    from inspect_ai.log import write_eval_log

    from rim_eval.inspect_tasks._pattern_logs import read_finished_log

    log = read_finished_log(path, reading.monitor, reading.parts, reading.grader)
    write_eval_log(log, str(target))
    ours = patterns.load_monitor(reading.monitor).identity(reading.grader)
    return [
        row
        for row in patterns.pattern_rows(log)  # those of earlier monitors too
        if row.monitor == ours and row.part in reading.parts
    ]


def _counts(rows: Sequence[patterns.PatternRow]) -> str:
    read = [row for row in rows if row.read]
    with_pattern = sum(bool(row.patterns) for row in read)
    return f"{len(read)} of {len(rows)} parts read, {with_pattern} with a pattern"
