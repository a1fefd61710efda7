"""`rim-eval patterns agree`: two monitors on the same replies."""

import click

from rim_eval import patterns
from rim_eval.cli._pattern_monitors import rows_of_monitor, shared_labels
from rim_eval.cli._pattern_options import NAMED_LOGS

__all__ = ["command"]


@click.command("agree")
@NAMED_LOGS
@click.option(
    "--monitor",
    required=True,
    help="The monitor in question: a name, a rubric file, or either with its grader, NAME@GRADER.",
)
@click.option("--reference", required=True, help="The monitor it is compared with.")
def command(logs: tuple[str, ...], monitor: str, reference: str) -> None:
    """Agreement of two monitors that have read the same LOGS, by model and label.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    rows = patterns.read_runs(logs).rows
    ours, theirs = rows_of_monitor(rows, monitor), rows_of_monitor(rows, reference)
    found = patterns.compare_monitors(ours, theirs, shared_labels(monitor, reference))
    click.echo(patterns.agreement_table(found))
