"""`rim-eval patterns show`: how often patterns occur, and the outcome with and without them."""

import json

import click

from rim_eval import patterns
from rim_eval.cli._pattern_files import plain
from rim_eval.cli._pattern_judges import judged
from rim_eval.cli._pattern_options import AS_JSON, JUDGE, NAMED_LOGS

__all__ = ["command"]


@click.command("show")
@NAMED_LOGS
@JUDGE
@AS_JSON
def command(logs: tuple[str, ...], judge: str | None, as_json: bool) -> None:
    """Prevalence in LOGS by model, set, mode and part, and the judged outcome with and without each label.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows, table = patterns.read_runs(logs)
    for says in sorted({problem.says for problem in table.problems}):
        click.echo(f"{says}.", err=True)
    common = patterns.prevalence(rows)
    given = patterns.conditional_rates(rows, judged(table, judge))
    if as_json:
        click.echo(json.dumps({"prevalence": plain(common), "conditional": plain(given)}, indent=1))
        return
    click.echo(patterns.prevalence_table(common))
    click.echo()
    click.echo(patterns.conditional_table(given))
