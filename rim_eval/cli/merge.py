"""`rim-eval merge`: runs, shards and tables as one table of observations, pair-safe or not at all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.observations import Table


@click.command()
@click.argument("logs", nargs=-1, required=True)
@click.option("--check", "only_checks", is_flag=True, help="Say whether the runs join, and write nothing. Exit 0: they do; 2: they do not.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("observations.parquet"), show_default=True, help="Table to write, .parquet or .csv, which `rim-eval card`, `compare` and `gate` read.")  # fmt: skip
def command(logs: Sequence[str], only_checks: bool, out: Path) -> None:
    """Join LOGS (logs, folders, tables; NAME=PATH names the model) to one table.

    Runs join when no prompt is lost or stands twice, every prompt has both modes, and all of a set was asked with the
    same settings. Otherwise nothing is written, and each reason is said with what to do.

    rim-eval merge runs/suite/shards --check
    """
    from rim_eval.observations import read_observations, write_observations
    from rim_eval.suite.merge import obstacles

    table = read_observations(logs)
    found = obstacles(table)
    for each in found:
        click.echo(f"  {each.says}\n    next: {each.next_step}", err=True)
    if found:
        click.echo(f"These runs do not join: {len(found)} reasons.", err=True)
        raise click.exceptions.Exit(2)
    click.echo(_summary(table))
    if not only_checks:
        if out.suffix not in (".parquet", ".csv"):
            raise RimError(f"--out {out}: give a name that ends in .parquet or .csv.")
        write_observations(table, out)
        click.echo(f"{out}: next, rim-eval card {out}")


def _summary(table: "Table") -> str:
    """One line a model and set: prompts, runs, and that both modes are there."""
    lines = []
    for (model, dataset), rows in table.frame.groupby(["model", "dataset"], observed=True):
        runs, modes = rows["run"].nunique(), rows["mode"].nunique()
        both = "both modes" if modes == 2 else "one mode"
        lines.append(
            f"{model}, {dataset}: {rows['prompt_id'].nunique()} prompts in {both}, from {runs} logs"
        )
    return "\n".join(lines)
