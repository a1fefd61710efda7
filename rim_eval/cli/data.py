"""`rim-eval data`: which prompt sets there are, and whether this machine can load them."""

import json
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from rim_eval import prompt_sets
from rim_eval.errors import RimError
from rim_eval.prompt_sets import PromptSet

_HEAD: Final = ("name", "kind", "n", "judge", "licence", "source", "access")
_ACCESS_ERRORS: Final = (
    prompt_sets.GatedError,
    prompt_sets.MissingError,
    prompt_sets.OfflineError,
)


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
    entries = prompt_sets.entries()
    if as_json:
        click.echo(json.dumps([_declared(one) for one in entries.values()], indent=2))
        return
    rows = [_HEAD, *(_row(one) for one in entries.values())]
    for line in _table(rows, right={_HEAD.index("n")}):
        click.echo(line)


@command.command("check")
@click.argument("names", nargs=-1, metavar="[SET]...")
@click.option("--data", type=click.Path(path_type=Path), help="Local folder, as RIM_EVAL_DATA.")
@click.pass_context
def check_sets(ctx: click.Context, names: Sequence[str], data: Path | None) -> None:
    """Load prompt sets and say which are there, gated, missing or malformed.

    Exit code 1 when a named set cannot be loaded. Without names all sets are tried, and only a
    malformed one gives 1: nobody has access to all of them.
    """
    results = []
    for name in names or prompt_sets.entries():
        results.append(result := _try(name, data))
        _show(result)
    states = [result.state for result in results]
    click.echo(f"{states.count('ok')} of {len(states)} sets can be loaded here.")
    ctx.exit(any(state == "error" or (names and state != "ok") for state in states))


class _Result(NamedTuple):
    name: str
    state: str
    detail: str


def _try(name: str, data: Path | None) -> _Result:
    try:
        loaded = prompt_sets.load_prompts(name, data=data)
    except RimError as error:
        state = error.status if isinstance(error, _ACCESS_ERRORS) else "error"
        return _Result(name, state, str(error).removeprefix(f"{name}: "))
    origin = loaded.provenance
    revision = f" @ {origin.revision_used}" if origin.revision_used else ""
    line = f"{len(loaded.prompts)} prompts, {origin.source}: {origin.location}{revision}"
    return _Result(name, "ok", "\n".join([line, *loaded.notes]))


def _show(result: _Result) -> None:
    colour = {"ok": "green", "error": "red"}.get(result.state, "yellow")
    click.echo(f"{click.style(f'{result.state:<8}', fg=colour)}{result.name}")
    width = min(shutil.get_terminal_size().columns, 100)
    for line in result.detail.splitlines():
        for part in _wrapped(line.strip(), width - 8):
            click.echo(f"        {part}")


def _wrapped(line: str, width: int) -> list[str]:
    """Wraps between words only: addresses and file names stay whole, to be copied."""
    hang = " " * 3 if line[:1].isdigit() and line[1:2] == "." else ""
    return textwrap.wrap(
        line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False
    )


def _row(entry: PromptSet) -> tuple[str, ...]:
    access = "gated" if entry.gated else "open"
    source = entry.source.type
    count = str(entry.default_count)
    return (entry.name, entry.kind, count, entry.judge or "-", entry.licence, source, access)


def _table(rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def cell(place: int, text: str) -> str:
        return text.rjust(widths[place]) if place in right else text.ljust(widths[place])

    return [" ".join(cell(place, text) for place, text in enumerate(row)).rstrip() for row in rows]


def _declared(entry: PromptSet) -> dict[str, Any]:
    declared = entry.model_dump(mode="json", exclude_none=True)
    return declared | {"default_count": entry.default_count, "gated": entry.gated}
