"""The command line `rim-eval`: one module of this package for each word, loaded when it is used."""

import importlib
from pathlib import Path
from typing import Any, Final

import click

from rim_eval import __version__
from rim_eval.errors import RimError

__all__ = ["main"]

_WORDS: Final = (
    "demo",
    "data",
    "judge",
    "patterns",
    "card",
    "compare",
    "gate",
    "leaderboard",
    "power",
    "mech",
    "parity",
    "tasks-path",
)


class LazyGroup(click.Group):
    """Takes the command of a word from `rim_eval.cli.<word>`, the object named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The words that this version has, in the order in which one needs them."""
        return [*super().list_commands(ctx), *_present()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports one word's module."""
        if cmd_name not in _present():
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"{__name__}.{_module(cmd_name)}")
        found: click.Command = module.command
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Shows problems that the user can mend as one message, without a traceback."""
        try:
            return super().invoke(ctx)
        except RimError as error:
            raise click.ClickException(str(error)) from error


def _present() -> list[str]:
    here = Path(__file__).parent
    return [word for word in _WORDS if (here / f"{_module(word)}.py").is_file()]


def _module(word: str) -> str:
    return word.replace("-", "_")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rim-eval")
def main() -> None:
    """What thinking does to a model's safety, measured in Inspect and lm-evaluation-harness."""
