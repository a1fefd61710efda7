"""The command line `rim-eval`: one module of this package for each command, imported when it is used."""

import importlib
from typing import Any, Final

import click

from rim_eval._version import __version__
from rim_eval.errors import RimError

__all__ = ["main"]

_COMMANDS: Final = (
    "demo",
    "data",
    "judge",
    "patterns",
    "card",
    "compare",
    "run",
    "merge",
    "series",
    "gate",
    "leaderboard",
    "export",
    "power",
    "plan",
    "mech",
    "parity",
    "tasks-path",
)


class LazyGroup(click.Group):
    """Import a command from `rim_eval.cli.<name>`, where the object is named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the commands in the order in which a user needs them."""
        return [*super().list_commands(ctx), *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Show errors that the user can fix as one message, without a traceback."""
        try:
            return super().invoke(ctx)
        except RimError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rim-eval")
def main() -> None:
    """What thinking does to a model's safety, measured in Inspect and lm-evaluation-harness."""
