"""`rim-eval gate`: may this model be released? Exit 0 pass, 1 fail, 2 cannot tell or missing."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.cli.card import (
    cards_of,
    judge_option,
    labels_option,
    read_cards,
    read_table,
    split_sources,
)
from rim_eval.errors import RimError
from rim_eval.files import write_whole

if TYPE_CHECKING:
    from rim_eval.card import Card
    from rim_eval.observations import Table
    from rim_eval.release_gate import Decision

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--rules", "path", type=click.Path(path_type=Path), default=Path("gate.yaml"), show_default=True, help="YAML file of limits; docs/gate.md shows all of them.")  # fmt: skip
@judge_option
@labels_option
@click.option("--explain", "explains", is_flag=True, help="Say for each limit what was asked, what was measured, why it ends so and what to do next.")  # fmt: skip
@click.option("--flips", type=_FILE, help="Write the prompts whose verdict differs between the modes as CSV: ids and counts, no texts. Needs logs.")  # fmt: skip
@click.option("--json", "json_file", type=_FILE, help="Write the decisions as JSON.")
@click.option("--junit", type=_FILE, help="Write the decisions as JUnit XML.")
@click.option("--summary", type=_FILE, help="Append a summary in Markdown. Default: $GITHUB_STEP_SUMMARY, where it is set.")  # fmt: skip
def command(sources: Sequence[str], path: Path, judge: str | None, label_files: Sequence[Path], explains: bool, flips: Path | None, json_file: Path | None, junit: Path | None, summary: Path | None) -> None:  # fmt: skip
    """Check SOURCES (card.json files, or logs) against limits.

    A limit passes when the whole interval keeps it and fails when none of it does. The exit code is 0
    when all limits that block pass, 1 when one fails, 2 when the gate cannot tell: too few prompts, modes not
    verified, a figure that is missing, bad input.
    """
    from rim_eval.release_gate import EXIT_CODES, gate, read_rules, worst

    try:
        rules = read_rules(path)
        cards, logs = split_sources(sources)
        table = read_table(logs, judge) if logs else None
        decisions = [gate(card, rules) for card in _all_cards(cards, table, label_files)]
        said = [_write_flips(table, cards, flips)] if flips else []
        _write_reports(decisions, json_file, junit, summary)
    except RimError as error:
        click.echo(f"cannot tell  {error}", err=True)
        _write_error(str(error), json_file, junit)
        raise click.exceptions.Exit(EXIT_CODES["cannot tell"]) from None
    for decision in decisions:
        _print_decision(decision, explains)
    for line in said:
        click.echo(line)
    _annotate(decisions)
    outcome = worst(decision.outcome for decision in decisions)
    click.echo(f"gate: {outcome}")
    raise click.exceptions.Exit(EXIT_CODES[outcome])


def _print_decision(decision: "Decision", explains: bool) -> None:
    from rim_eval.release_gate import explain

    click.echo(decision.model)
    for result in decision.results:
        tier = "" if result.tier == "block" else f"({result.tier}) "
        click.echo(f"  {result.outcome:<12} {tier}{result.reason}")
        for line in explain(result) if explains else ():
            click.echo(f"      {line}")


def _all_cards(
    cards: Sequence[str], table: "Table | None", label_files: Sequence[Path]
) -> "Iterator[Card]":
    """Read card files, then make the cards of a table's models, with the labels of its replies.

    Raises:
        RimError: A file is no card, labels are not of the table, or they are given with cards alone.
    """
    yield from (card for _, _, card in read_cards(cards, None))
    if table is not None:
        yield from cards_of(table, label_files)
    elif label_files:
        raise RimError(
            f"--labels {label_files[0]} needs the logs that the sheet was drawn from: {cards[0]} is a card, whose figures are "
            f"made. Give the logs instead (rim-eval gate LOGS --labels {label_files[0]}), or make the card with the labels: "
            f"rim-eval card LOGS --labels {label_files[0]}."
        )


def _write_flips(table: "Table | None", cards: Sequence[str], path: Path) -> str:
    """Write the flips of logs, and say how many there are.

    Args:
        table: What the logs hold; None where only cards were given.
        cards: The card files among the sources.
        path: The CSV file.

    Raises:
        RimError: There are only cards, or the file cannot be written.
    """
    from rim_eval.release_gate import find_flips, flips_csv, flips_summary

    if table is None:
        raise RimError(
            f"--flips needs the logs: {cards[0]} is a card, which holds counts and no prompt ids. "
            f"Give the logs instead: rim-eval gate LOGS --flips {path}"
        )
    found = find_flips(table)
    write_whole({path: flips_csv(found)})
    lines = [f"flips: {len(found)} prompts in {path}", *flips_summary(found)]
    lines += [f"no flips of {card}: a card holds no prompt ids" for card in cards]
    return "\n  ".join(lines)


def _write_reports(
    decisions: "Sequence[Decision]",
    json_file: Path | None,
    junit: Path | None,
    summary: Path | None,
) -> None:
    """Write what was asked for; the summary is appended.

    Raises:
        RimError: A file cannot be written.
    """
    from rim_eval.release_gate import decisions_json, junit_xml, markdown_summary

    write_whole(
        ({json_file: decisions_json(decisions)} if json_file else {})
        | ({junit: junit_xml(decisions)} if junit else {})
    )
    steps = os.environ.get("GITHUB_STEP_SUMMARY")
    if target := summary or (Path(steps) if steps else None):
        try:
            with target.open("a", encoding="utf-8") as file:
                file.write(markdown_summary(decisions))
        except OSError as error:
            raise RimError(
                f"{target} cannot be written ({error.strerror}). Name another file with --summary."
            ) from None


def _write_error(error: str, json_file: Path | None, junit: Path | None) -> None:
    """Put the error in the place of reports of an earlier gate, which CI would show."""
    from rim_eval.release_gate import decisions_json, junit_error

    reports = ((json_file, decisions_json([], error)), (junit, junit_error(error)))
    for path, text in reports:
        try:
            if path:
                write_whole({path: text})
        except RimError as problem:
            if str(problem) != error:
                click.echo(f"cannot tell  {problem}", err=True)


def _annotate(decisions: "Sequence[Decision]") -> None:
    """Mark the run, in GitHub Actions alone."""
    from rim_eval.release_gate import annotations

    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in annotations(decisions):
            click.echo(line)
