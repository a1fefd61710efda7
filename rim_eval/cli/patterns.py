"""`rim-eval patterns`: why a model goes along, as far as its traces show it."""

from typing import Final

import click

from rim_eval.cli import (
    _pattern_agree,
    _pattern_filter,
    _pattern_injection,
    _pattern_run,
    _pattern_show,
    _pattern_validate,
)

__all__ = ["command"]

_WORDS: Final = (
    _pattern_run,
    _pattern_show,
    _pattern_agree,
    _pattern_validate,
    _pattern_injection,
    _pattern_filter,
)


@click.group()
def command() -> None:
    """Read traces for reasoning patterns, and show, compare and filter by what was found."""


for _word in _WORDS:
    command.add_command(_word.command)
