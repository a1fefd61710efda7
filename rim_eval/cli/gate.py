"""`rim-eval gate`: may this model be released? Exit 0 pass, 1 fail, 2 cannot tell."""

from collections.abc import Sequence
from pathlib import Path

import click

from rim_eval.cli.card import judge_option, read_cards
from rim_eval.errors import RimError


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--rules", "path", type=click.Path(path_type=Path), default=Path("gate.yaml"), show_default=True, help="YAML file of limits; docs/gate.md shows all of them.")  # fmt: skip
@judge_option
def command(sources: Sequence[str], path: Path, judge: str | None) -> None:
    """Check SOURCES (card.json files, or logs) against limits.

    A limit passes when the whole interval keeps it and fails when none of it does. The exit code is 0
    when all limits pass, 1 when one fails, 2 when the gate cannot tell: too few prompts, modes not
    verified, bad input.
    """
    from rim_eval.release_gate import EXIT_CODES, gate, read_rules, worst

    try:
        rules = read_rules(path)
        decisions = [gate(card, rules) for _, _, card in read_cards(sources, judge)]
    except RimError as error:
        click.echo(f"cannot tell  {error}", err=True)
        raise click.exceptions.Exit(EXIT_CODES["cannot tell"]) from None
    for decision in decisions:
        click.echo(decision.model)
        for result in decision.results:
            click.echo(f"  {result.outcome:<12} {result.reason}")
    outcome = worst(decision.outcome for decision in decisions)
    click.echo(f"gate: {outcome}")
    raise click.exceptions.Exit(EXIT_CODES[outcome])
