"""`rim-eval tasks-path`: where the task folders lie, for lm-eval's `--include_path`."""

import click

from rim_eval.paths import tasks_dir


@click.command()
def command() -> None:
    """Print the folder of the prompt sets, for lm-eval's --include_path."""
    click.echo(tasks_dir())
