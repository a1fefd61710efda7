"""`rim-eval card`: one model's figures as JSON, Markdown and one page, from its logs."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.cli._inside import Pictures, assign_reports, with_report
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.card import Card
    from rim_eval.judging import ValidationFile


@click.command()
@click.argument("logs", nargs=-1)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("card"),
    show_default=True,
    help="Folder for card.json, card.md and card.html (one folder a model, when there are several).",
)
@click.option("--judge", help="Judge whose verdicts count, when logs were judged more than once.")
@click.option("--primary", help="Harmful set whose RIM score comes first.")
@click.option("--accuracy", help="Reasoning set whose accuracy stands beside it.")
@click.option(
    "--validation",
    "validations",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A judge's measured agreement with people (`rim-eval judge validate`), to correct rates by; "
    "by default what lies beside a shipped judge.",
)
@click.option(
    "--mechanisms",
    "reports",
    multiple=True,
    metavar="[MODEL=]FILE",
    help="What `rim-eval mech` found inside the model (its report.json), for a section of the card.",
)
@click.option(
    "--observations",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows too: .parquet or .csv.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of card.json and stop.")
def command(logs: Sequence[str], out: Path, judge: str | None, primary: str | None, accuracy: str | None, validations: Sequence[Path], reports: Sequence[str], observations: Path | None, schema: bool) -> None:  # fmt: skip
    """Make the RIM card of LOGS: Inspect logs, folders, lm-eval sample files, tables of observations.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    from rim_eval.card import json_schema, make_card

    if schema:
        click.echo(json.dumps(json_schema(), indent=1))
        return
    if not logs:
        raise RimError("Give at least one log or folder: rim-eval card logs/")
    from rim_eval.judging import find_validations
    from rim_eval.observations import read_observations, write_observations

    table = read_observations(logs)
    if observations:
        write_observations(table, observations)
    table = table.of_judge(judge) if judge else table
    judges = table.frame[["judge", "judge_sha256"]].dropna().astype(str).drop_duplicates()
    measured = find_validations(judges.itertuples(index=False), validations)
    inside = assign_reports(reports, table.models)
    for model in table.models:
        card = make_card(
            table.of_model(model),
            primary=primary,
            primary_reasoning=accuracy,
            validations={name: one.validation for name, one in measured.items()},
        )
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
        folder = out if len(table.models) == 1 else out / name
        card, pictures = with_report(card, inside.get(model))
        _write(card, folder, pictures)
        _say(card, folder, measured)


def _write(card: "Card", folder: Path, inside_pictures: Pictures) -> None:
    from rim_eval.card import card_html, card_json, card_markdown

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.json").write_text(card_json(card), encoding="utf-8")
    (folder / "card.md").write_text(card_markdown(card), encoding="utf-8")
    (folder / "card.html").write_text(card_html(card, inside_pictures), encoding="utf-8")


def _say(card: "Card", folder: Path, measured: "Mapping[str, ValidationFile]") -> None:
    click.echo(f"{card.model}: {card.flag.sentence if card.flag else 'no RIM score'}")
    for problem in card.problems:
        click.echo(f"  {problem.says} (n = {problem.n})")
    used = {s.judge.name.split("@")[0] for s in card.sets if s.judge and s.judge.measured}
    for name in sorted(used & measured.keys()):
        click.echo(f"  agreement of {name} with people: {measured[name].path}")
    click.echo(f"  {folder}/card.html  card.md  card.json")
