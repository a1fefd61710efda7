"""Arguments and options that several words of `rim-eval patterns` take."""

from pathlib import Path
from typing import Final

import click

__all__ = ["AS_JSON", "GRADER", "JUDGE", "MONITOR", "NAMED_LOGS", "PATH"]

PATH: Final = click.Path(path_type=Path)

NAMED_LOGS: Final = click.argument("logs", nargs=-1, required=True)
"""Texts, for each may be NAME=PATH."""

MONITOR: Final = click.option(
    "--monitor",
    default="rubric",
    show_default=True,
    help="rubric (asks a grader), cues (offline baseline), exact (organism), or a rubric file.",
)
GRADER: Final = click.option("--grader", help="Grader model, such as openai/gpt-4.1.")
JUDGE: Final = click.option("--judge", help="Whose verdicts, where several judges gave some.")
AS_JSON: Final = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, with every figure."
)
