"""`rim-eval gate`: may this model be released? Exit 0 pass, 1 fail, 2 cannot tell."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.card import Card
    from rim_eval.release_gate import Finding

__all__ = ["command"]


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--rules",
    type=click.Path(path_type=Path),
    default=Path("gate.yaml"),
    show_default=True,
    help="File of limits; docs/gate.md shows all of them.",
)
@click.option("--judge", help="Judge whose verdicts count, when logs were judged more than once.")
def command(sources: Sequence[str], rules: Path, judge: str | None) -> None:
    """Hold SOURCES (card.json files, or logs) against limits.

    A limit passes when the whole interval keeps it, fails when none of it does. Exits with 0 when all
    pass, 1 when one fails, 2 when it cannot be told: too few prompts, modes not verified, bad input.
    """
    try:
        code = _gate(sources, rules, judge)
    except RimError as error:
        click.echo(f"cannot tell  {error}", err=True)
        code = 2
    raise click.exceptions.Exit(code)


def _gate(sources: Sequence[str], rules: Path, judge: str | None) -> int:
    from rim_eval.release_gate import EXIT_CODES, hold, read_rules, worst

    asked = read_rules(rules)
    findings: list[Finding] = []
    for card in _cards(sources, judge):
        click.echo(card.model)
        held = hold(card, asked)
        findings += held
        for finding in held:
            click.echo(f"  {finding.outcome:<12} {finding.says}")
    outcome = worst(findings)
    click.echo(f"gate: {outcome}")
    return EXIT_CODES[outcome]


def _cards(sources: Sequence[str], judge: str | None) -> "list[Card]":
    """Cards from files as they are, once their figures follow from their counts; and from logs."""
    from rim_eval.card import make_card
    from rim_eval.cli._cards import is_card, read_sound_card
    from rim_eval.observations import read_observations

    files = [source for source in sources if is_card(source) and "=" not in source]
    logs = [source for source in sources if source not in files]
    cards = [read_sound_card(file) for file in files]
    if logs:
        table = read_observations(logs)
        table = table.of_judge(judge) if judge else table
        cards += [make_card(table.of_model(model)) for model in table.models]
    return cards
