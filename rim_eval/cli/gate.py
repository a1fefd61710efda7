"""`rim-eval gate`: may this model be released? Exit 0 pass, 1 fail, 2 cannot tell or missing."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    from rim_eval.release_gate import Decision, Outcome

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
@click.option("--summary", type=_FILE, help="Append a summary in Markdown. Default: $GITHUB_STEP_SUMMARY, where it is set; the outputs of a step of GitHub Actions go to $GITHUB_OUTPUT.")  # fmt: skip
def command(sources: Sequence[str], path: Path, judge: str | None, label_files: Sequence[Path], explains: bool, flips: Path | None, json_file: Path | None, junit: Path | None, summary: Path | None) -> None:  # fmt: skip
    """Check SOURCES (card.json files, or logs) against limits.

    A limit passes when the whole interval keeps it and fails when none of it does. The exit code is 0
    when all limits that block pass, 1 when one fails, 2 when the gate cannot tell: too few prompts, modes not
    verified, a figure that is missing, bad input.
    """
    from rim_eval.release_gate import EXIT_CODES, annotations, gate, read_rules

    try:
        rules = read_rules(path)
        files, logs = split_sources(sources)
        table = read_table(logs, judge) if logs else None
        cards = list(_all_cards(files, table, label_files))
        decisions = [gate(card, rules) for card in cards]
        said = [_write_flips(table, files, flips)] if flips else []
        _write_reports(decisions, json_file, junit)
        outcome = report(decisions, cards, said, explains=explains, summary=summary)
    except RimError as error:
        _print(f"cannot tell  {error}", annotations([], str(error)), err=True)
        _write_error(str(error), json_file, junit, summary)
        raise click.exceptions.Exit(EXIT_CODES["cannot tell"]) from None
    raise click.exceptions.Exit(EXIT_CODES[outcome])


def report(
    decisions: "Sequence[Decision]",
    cards: "Sequence[Card]",
    remarks: Sequence[str] = (),
    *,
    explains: bool = False,
    summary: Path | None = None,
) -> "Outcome":
    """Print decisions; in GitHub Actions mark the run, and write the step's outputs and the job's summary.

    Args:
        decisions: What the gate says of each model.
        cards: The card of each decision, in the same order.
        remarks: Lines to print after them.
        explains: Say of each limit what was asked, what was measured and what to do next.
        summary: The file that the summary is appended to; None for $GITHUB_STEP_SUMMARY where it is set.

    Returns:
        The worst outcome of all; `EXIT_CODES` has the exit code.

    Raises:
        RimError: A file cannot be written.
    """
    from rim_eval.release_gate import annotations, worst

    _write_for_actions(decisions, cards, summary)
    outcome = worst(decision.outcome for decision in decisions)
    lines = [line for decision in decisions for line in _decision_lines(decision, explains)]
    _print("\n".join([*lines, *remarks, f"gate: {outcome}"]), annotations(decisions))
    return outcome


def _decision_lines(decision: "Decision", explains: bool) -> Iterator[str]:
    from rim_eval.release_gate import explain

    yield decision.model
    for result in decision.results:
        tier = "" if result.tier == "block" else f"({result.tier}) "
        yield f"  {result.outcome:<12} {tier}{result.reason}"
        for line in explain(result) if explains else ():
            yield f"      {line}"


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
    decisions: "Sequence[Decision]", json_file: Path | None, junit: Path | None
) -> None:
    """Write what was asked for.

    Raises:
        RimError: A file cannot be written.
    """
    from rim_eval.release_gate import decisions_json, junit_xml

    write_whole(
        ({json_file: decisions_json(decisions)} if json_file else {})
        | ({junit: junit_xml(decisions)} if junit else {})
    )


def _write_for_actions(
    decisions: "Sequence[Decision]",
    cards: "Sequence[Card]",
    summary: Path | None,
    error: str | None = None,
) -> None:
    """Append the summary and, in GitHub Actions, the step's outputs.

    Args:
        decisions: What the gate says of each model; none where it could not check.
        cards: Their cards.
        summary: The file named with `--summary`, else $GITHUB_STEP_SUMMARY where it is set.
        error: Why the gate could not check.

    Raises:
        RimError: A file cannot be written.
    """
    from rim_eval.release_gate import markdown_summary, step_outputs

    if target := _named_by("GITHUB_OUTPUT"):
        _append(target, step_outputs(decisions, cards), "GITHUB_OUTPUT names it.")
    if target := summary or _named_by("GITHUB_STEP_SUMMARY"):
        text = markdown_summary(decisions, cards, error)
        _append(target, text, "Name another file with --summary.")


def _named_by(variable: str) -> Path | None:
    name = os.environ.get(variable)
    return Path(name) if name else None


def _append(path: Path, text: str, advice: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RimError(f"{path} cannot be written ({error.strerror}). {advice}") from None


def _write_error(
    error: str, json_file: Path | None, junit: Path | None, summary: Path | None
) -> None:
    """Put the error in the place of reports of an earlier gate, which CI would show, and tell GitHub Actions."""
    from rim_eval.release_gate import decisions_json, junit_error

    writes: tuple[Callable[[], None], ...] = (
        lambda: write_whole({json_file: decisions_json([], error)} if json_file else {}),
        lambda: write_whole({junit: junit_error(error)} if junit else {}),
        lambda: _write_for_actions([], [], summary, error),
    )
    for write in writes:
        try:
            write()
        except RimError as problem:
            if str(problem) != error:
                click.echo(f"cannot tell  {problem}", err=True)


def _print(text: str, marks: Iterable[str], *, err: bool = False) -> None:
    """Print a text; in GitHub Actions mark the run before it, and let no line of the text be a command.

    Args:
        text: What the gate says.
        marks: The workflow commands that mark the run.
        err: Print on the standard error.
    """
    from rim_eval.release_gate import without_commands

    if os.environ.get("GITHUB_ACTIONS") == "true":
        text = "\n".join([*marks, without_commands(text)])
    click.echo(text, err=err)
