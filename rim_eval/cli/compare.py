"""`rim-eval compare`: models against a named reference, from their logs or cards."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.cli.card import is_card, judge_option, read_cards, read_table
from rim_eval.errors import RimError
from rim_eval.files import write_whole

if TYPE_CHECKING:
    from rim_eval.card import Card
    from rim_eval.comparison import Comparison
    from rim_eval.observations import Table


@click.command()
@click.argument("logs", nargs=-1, required=True)
@click.option("--reference", help="Model that differences are from; needed with more than one.")
@click.option("--pair", nargs=2, metavar="THINKING DIRECT", help="Take two models as the arms of one: the first thinks, the second does not.")  # fmt: skip
@click.option("--family", "families", multiple=True, metavar="NAME=MODEL,MODEL", help="Models of one family (repeatable): their mean change, and from four models on what it says of further ones.")  # fmt: skip
@click.option("--series", is_flag=True, help="The models are checkpoints, in the order given.")
@judge_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for compare.html, compare.md and compare.json.")  # fmt: skip
def command(logs: Sequence[str], reference: str | None, pair: tuple[str, str] | None, families: Sequence[str], series: bool, judge: str | None, out: Path | None) -> None:  # fmt: skip
    """Compare the models in LOGS: logs, folders, tables of observations, or cards (card.json).

    Cards hold no prompts: differences between models are then not paired, and the output says so.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model:

    rim-eval compare base=logs/base tuned=logs/tuned --reference base

    A family of four models or more answers for models that were not measured, too (docs/families.md):

    rim-eval compare a=logs/a b=logs/b c=logs/c d=logs/d --reference a --family all=a,b,c,d
    """
    from rim_eval.comparison import (
        checkpoint_pair,
        compare,
        comparison_text,
    )
    from rim_eval.observations import label_of

    labels = [label_of(log) for log in logs]
    results: Table | dict[str, Card]
    if any(is_card(path) for _, path in labels):
        if pair is not None:
            raise RimError(
                "--pair joins two models prompt by prompt, and a card holds counts and no prompts. Give the logs, or "
                "tables of them: rim-eval card LOGS --observations rows.parquet"
            )
        cards: dict[str, Card] = {}
        for name, source, card in read_cards(logs, judge):
            if name in cards:
                raise RimError(
                    f"Two cards are of {name}: name them apart, such as base={source} tuned=other/card.json."
                )
            cards[name] = card
        results, models = cards, tuple(cards)
    else:
        if pair is not None and (reference or families or series):
            raise RimError(
                "--pair makes one model of two: leave out --reference, --family, --series."
            )
        table = read_table(logs, judge)
        results = checkpoint_pair(table, *pair) if pair else table
        models = results.models
    named = [label for label, _ in labels if label in models]
    order = tuple(dict.fromkeys([*named, *models]))
    if reference is None and len(models) > 1:
        raise RimError(
            f"There are {len(models)} models ({', '.join(order)}): name what they are compared with, "
            f"such as --reference {order[0]}."
        )
    comparison = compare(
        results,
        reference or order[0],
        models=order,
        families=_parse_families(families),
        series=series,
    )
    click.echo(comparison_text(comparison))
    if out is not None:
        click.echo("")
        write_comparison(comparison, out)


def write_comparison(comparison: "Comparison", out: Path) -> None:
    """Write a comparison in its three forms, and say where.

    Args:
        comparison: The comparison.
        out: Folder of the files.
    """
    from rim_eval.comparison import comparison_html, comparison_markdown

    texts = {
        "compare.html": comparison_html(comparison),
        "compare.md": comparison_markdown(comparison),
        "compare.json": comparison.model_dump_json(indent=1) + "\n",
    }
    write_whole({out / name: text for name, text in texts.items()})
    click.echo(f"{out}/{'  '.join(texts)}")


def _parse_families(options: Sequence[str]) -> dict[str, list[str]]:
    families = {}
    for option in options:
        name, _, members = option.partition("=")
        if not (name and members):
            raise RimError(f"--family {option!r}: write it as NAME=MODEL,MODEL.")
        families[name] = members.split(",")
    return families
