"""`--quiet`, the option of every command that shows progress."""

import sys
from typing import Final

import click

from rim_eval.progress import Progress


def _open(context: click.Context, _: click.Parameter, quiet: bool) -> Progress:
    return context.with_resource(Progress(None if quiet else sys.stderr))


progress_option: Final = click.option(
    "--quiet", "progress", is_flag=True, callback=_open, help="Show no progress."
)
"""Gives a command the argument `progress`, which ends with it."""
