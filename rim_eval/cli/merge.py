"""`rim-eval merge`: runs, shards and tables as one table of observations, pair-safe or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from rim_eval.errors import RimError
from rim_eval.formatting import MODE_WORDS, counted

if TYPE_CHECKING:
    from rim_eval.observations import Table

_REFUSED: Final = 2
"""Exit code of whatever does not join, as that of a run that is not finished: 1 is a gate that fails."""


@click.command()
@click.argument("logs", nargs=-1, required=True)
@click.option("--check", "only_checks", is_flag=True, help="Say whether the runs join, and write nothing.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("observations.parquet"), show_default=True, help="Table to write, .parquet or .csv, which `rim-eval card`, `compare` and `gate` read.")  # fmt: skip
def command(logs: Sequence[str], only_checks: bool, out: Path) -> None:
    """Join LOGS (logs, folders, tables; NAME=PATH names the model) to one table.

    Runs join when no prompt is lost or stands twice, every prompt has both modes where both were asked, and all of a set
    was asked with the same settings. Otherwise nothing is written, and each reason is said with what to do. A table from
    elsewhere (CSV) does not say what was asked: it needs both modes, and that no prompt is lost is not known.

    Exit code 0: they join. 2: they do not, or cannot be read.

    rim-eval merge runs/suite/shards --check
    """
    try:
        _merge(logs, None if only_checks else out)
    except RimError as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(_REFUSED) from None


def _merge(logs: Sequence[str], out: Path | None) -> None:
    """Say whether the runs join, and write them where there is a place for it."""
    from rim_eval.observations import read_observations, write_observations
    from rim_eval.suite.merge import obstacles

    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise RimError(f"--out {out}: give a name that ends in .parquet or .csv.")
    table = read_observations(logs)
    found = obstacles(table)
    for each in found:
        click.echo(f"  {each.says}\n    next: {each.next_step}", err=True)
    if found:
        click.echo(f"These runs do not join: {counted(len(found), 'reason')}.", err=True)
        raise click.exceptions.Exit(_REFUSED)
    click.echo(_summary(table))
    if out is not None:
        write_observations(table, out)
        click.echo(f"{out}: next, rim-eval card {out}")


def _summary(table: "Table") -> str:
    """One line a model and set: prompts, modes and runs; and what the tables leave open."""
    from rim_eval.suite.merge import is_described

    lines = []
    for (model, dataset), rows in table.frame.groupby(["model", "dataset"], observed=True):
        runs, modes = rows["run"].nunique(), rows["mode"].unique()
        both = (
            "both modes"
            if len(modes) == 2
            else f"one mode, {MODE_WORDS[modes[0]]}, as it was asked"
        )
        prompts = counted(rows["prompt_id"].nunique(), "prompt")
        source = f", from {counted(runs, 'log')}" if runs else ""
        lines.append(f"{model}, {dataset}: {prompts} in {both}{source}")
    if not is_described(table):
        lines.append(
            "Not known: whether prompts are lost. Some rows are of no run that a table describes."
        )
    return "\n".join(lines)
