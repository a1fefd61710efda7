"""`rim-eval data`: which prompt sets there are, and whether this machine can load them."""

import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from rim_eval import prompt_sets
from rim_eval.errors import RimError

_LINE: Final = "{:<19} {:<9} {:>4} {:<14} {:<15} {:<7} {}"


@click.group()
def command() -> None:
    """List the prompt sets, and check which of them can be loaded here.

    Without network, or for gated sets, RIM_EVAL_DATA names a folder that holds the publishers' files
    as FOLDER/SET/FILE, for example FOLDER/hexphi/category_1.csv.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Everything that is declared, as JSON.")
def list_sets(as_json: bool) -> None:
    """List all prompt sets.

    n counts the prompts that are loaded by default. Sets that are not shipped are loaded from their
    publisher, or from the folder that RIM_EVAL_DATA names.
    """
    entries = prompt_sets.entries().values()
    if as_json:
        declared = [
            one.model_dump(mode="json", exclude_none=True)
            | {"default_count": one.default_count, "gated": one.gated}
            for one in entries
        ]
        click.echo(json.dumps(declared, indent=2))
        return
    click.echo(_LINE.format("name", "kind", "n", "judge", "licence", "source", "access"))
    for one in entries:
        judge, source, access = one.judge or "-", one.source.type, "gated" if one.gated else "open"
        cells = (one.name, one.kind, one.default_count, judge, one.licence, source, access)
        click.echo(_LINE.format(*cells))


@command.command("check")
@click.argument("names", nargs=-1, metavar="[SET]...")
@click.option("--data", type=click.Path(path_type=Path), help="Local folder, as RIM_EVAL_DATA.")
@click.pass_context
def check_sets(ctx: click.Context, names: Sequence[str], data: Path | None) -> None:
    """Load prompt sets and say which are there, gated, missing or malformed.

    Exit code 1 when a named set cannot be loaded. Without names all sets are tried, and only a
    malformed one gives 1: nobody has access to all of them.
    """
    states = []
    for name in names or prompt_sets.entries():
        state, detail = _try(name, data)
        states.append(state)
        colour = {"ok": "green", "error": "red"}.get(state, "yellow")
        click.echo(f"{click.style(f'{state:<8}', fg=colour)}{name}")
        width = min(shutil.get_terminal_size().columns, 100) - 8
        for line in map(str.strip, detail.splitlines()):
            # Break between words only: addresses and file names stay whole, to be copied.
            hang = " " * 3 if line[:1].isdigit() and line[1:2] == "." else ""
            for part in textwrap.wrap(
                line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
            ):
                click.echo(f"        {part}")
    click.echo(f"{states.count('ok')} of {len(states)} sets can be loaded here.")
    ctx.exit(any(state == "error" or (names and state != "ok") for state in states))


def _try(name: str, data: Path | None) -> tuple[str, str]:
    """Load a set; return its state and the details."""
    try:
        loaded = prompt_sets.load_prompts(name, data=data)
    except RimError as error:
        return getattr(error, "status", "error"), str(error).removeprefix(f"{name}: ")
    origin = loaded.provenance
    revision = f" @ {origin.revision_used}" if origin.revision_used else ""
    line = f"{len(loaded.prompts)} prompts, {origin.source}: {origin.location}{revision}"
    return "ok", "\n".join([line, *loaded.notes])
