"""`rim-eval compare`: models against a named reference, from their logs."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.comparison import Comparison

__all__ = ["command"]


@click.command()
@click.argument("logs", nargs=-1, required=True)
@click.option("--reference", help="Model that differences are from; needed with more than one.")
@click.option(
    "--pair",
    nargs=2,
    metavar="THINKING DIRECT",
    help="Take two models as the arms of one: the first thinks, the second does not.",
)
@click.option(
    "--family",
    "families",
    multiple=True,
    metavar="NAME=MODEL,MODEL",
    help="Models of one family (repeatable): their mean change is shown too.",
)
@click.option("--series", is_flag=True, help="The models are checkpoints, in the order given.")
@click.option("--judge", help="Judge whose verdicts count, when logs were judged more than once.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for compare.json and compare.html.",
)
def command(logs: Sequence[str], reference: str | None, pair: tuple[str, str] | None, families: Sequence[str], series: bool, judge: str | None, out: Path | None) -> None:  # fmt: skip
    """Compare the models in LOGS: logs, folders, tables of observations, or cards (card.json).

    Cards hold no prompts: differences between models are then not paired, which is said.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model:

    rim-eval compare base=logs/base tuned=logs/tuned --reference base
    """
    from rim_eval.cli._cards import is_card
    from rim_eval.comparison import comparison_html, comparison_text
    from rim_eval.observations import label_of

    if any(is_card(label_of(log)[1]) for log in logs):
        if pair is not None or families:
            raise RimError(
                "--pair and --family join models prompt by prompt, and a card holds counts and no prompts. Give the "
                "logs, or tables of them: rim-eval card LOGS --observations rows.parquet"
            )
        found = _of_cards(logs, reference, series, judge)
    else:
        found = _of_logs(logs, reference, pair, families, series, judge)
    click.echo(comparison_text(found))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        text = found.model_dump_json(indent=1) + "\n"
        (out / "compare.json").write_text(text, encoding="utf-8")
        (out / "compare.html").write_text(comparison_html(found), encoding="utf-8")
        click.echo(f"\n{out}/compare.html  compare.json")


def _of_logs(
    logs: Sequence[str], reference: str | None, pair: tuple[str, str] | None, families: Sequence[str],
    series: bool, judge: str | None,
) -> "Comparison":  # fmt: skip
    from rim_eval.comparison import checkpoint_pair, compare
    from rim_eval.observations import read_observations

    table = read_observations(logs)
    table = table.of_judge(judge) if judge else table
    order = _order(logs, table.models)
    if pair is not None:
        if reference or families or series:
            raise RimError(
                "--pair makes one model of two: leave out --reference, --family, --series."
            )
        table = checkpoint_pair(table, *pair)
        order = table.models
    named = _reference(reference, order)
    return compare(table, named, models=order, families=_families(families), series=series)


def _of_cards(
    sources: Sequence[str], reference: str | None, series: bool, judge: str | None
) -> "Comparison":
    """Cards, and logs made into cards, which then are not paired either."""
    from rim_eval.card import make_card
    from rim_eval.cli._cards import is_card, named_cards
    from rim_eval.comparison import compare_cards
    from rim_eval.observations import label_of, read_observations

    labelled = {source: label_of(source) for source in sources}
    cards = named_cards([each for each in labelled.values() if is_card(each[1])])
    if logs := [source for source, (_, path) in labelled.items() if not is_card(path)]:
        table = read_observations(logs)
        table = table.of_judge(judge) if judge else table
        for model in table.models:
            if model in cards:
                raise RimError(f"A card and logs are of {model}: name one, such as new={logs[0]}.")
            cards[model] = make_card(table.of_model(model))
    order = _order(sources, tuple(cards))
    ordered = {name: cards[name] for name in order}
    return compare_cards(ordered, _reference(reference, order), series=series)


def _order(logs: Sequence[str], models: Sequence[str]) -> tuple[str, ...]:
    """Models in the order in which their paths name them, then the others."""
    from rim_eval.observations import label_of

    named = [name for log in logs if (name := label_of(log)[0])]
    return tuple(dict.fromkeys([name for name in named if name in models] + list(models)))


def _reference(given: str | None, models: Sequence[str]) -> str:
    if given is None and len(models) > 1:
        raise RimError(
            f"There are {len(models)} models ({', '.join(models)}): name what they are compared with, "
            f"such as --reference {models[0]}."
        )
    return given or models[0]


def _families(given: Sequence[str]) -> dict[str, list[str]]:
    found = {}
    for one in given:
        name, equals, members = one.partition("=")
        if not (name and equals and members):
            raise RimError(f"--family {one!r}: write it as NAME=MODEL,MODEL.")
        found[name] = members.split(",")
    return found
