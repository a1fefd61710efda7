"""`rim-eval card`: one model's figures as JSON, Markdown and one page, from its logs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.card import Card, Picture
    from rim_eval.judging import ValidationFile
    from rim_eval.mechanisms.report import MechanismReport
    from rim_eval.observations import Table

judge_option = click.option(
    "--judge", help="Judge whose verdicts count, where logs hold verdicts of more than one."
)


@click.command()
@click.argument("logs", nargs=-1)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("card"),
    show_default=True,
    help="Folder for card.json, card.md and card.html; with several models, one folder below it for each.",
)
@judge_option
@click.option("--primary", help="Harmful set whose RIM score comes first.")
@click.option("--accuracy", help="Reasoning set whose accuracy is shown beside it.")
@click.option(
    "--validation",
    "validations",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of a judge's measured agreement with people (`rim-eval judge validate`), to correct rates by. "
    "Default: the file beside a shipped judge.",
)
@click.option(
    "--mechanisms",
    "reports",
    multiple=True,
    metavar="[MODEL=]FILE",
    help="report.json of `rim-eval mech`, for a section of the card.",
)
@click.option(
    "--observations",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the rows too, as .parquet or .csv.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of card.json and exit.")
def command(logs: Sequence[str], out: Path, judge: str | None, primary: str | None, accuracy: str | None, validations: Sequence[Path], reports: Sequence[str], observations: Path | None, schema: bool) -> None:  # fmt: skip
    """Make the RIM card of LOGS: Inspect logs, folders, lm-eval sample files, tables of observations.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    from rim_eval.card import card_html, card_json, card_markdown, json_schema, make_card

    if schema:
        click.echo(json.dumps(json_schema(), indent=1))
        return
    if not logs:
        raise RimError("Give at least one log or folder: rim-eval card logs/")
    from rim_eval.judging import find_validations

    table = read_table(logs, judge, observations)
    judges = table.frame[["judge", "judge_sha256"]].dropna().astype(str).drop_duplicates()
    measured = find_validations(judges.itertuples(index=False), validations)
    inside = _assign_reports(reports, table.models)
    for model in table.models:
        card = make_card(
            table.of_model(model),
            primary=primary,
            primary_reasoning=accuracy,
            validations={name: one.validation for name, one in measured.items()},
        )
        folder = out
        if len(table.models) > 1:
            folder /= re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
        card, pictures = _with_report(card, inside.get(model))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.json").write_text(card_json(card), encoding="utf-8")
        (folder / "card.md").write_text(card_markdown(card), encoding="utf-8")
        (folder / "card.html").write_text(card_html(card, pictures), encoding="utf-8")
        _print_summary(card, folder, measured)


def read_table(logs: Sequence[str], judge: str | None, observations: Path | None = None) -> "Table":
    """Read logs as one table of observations.

    Args:
        logs: Logs, folders, sample files or tables, each as PATH or NAME=PATH.
        judge: Judge whose verdicts count; None for the only one.
        observations: File to write all rows to.
    """
    from rim_eval.observations import read_observations, write_observations

    table = read_observations(logs)
    if observations:
        write_observations(table, observations)
    return table.of_judge(judge) if judge else table


def is_card(path: str) -> bool:
    """Tell whether a path is to be read as a card: a JSON file that is no Inspect log."""
    file = Path(path)
    if file.suffix != ".json" or not file.is_file():
        return file.suffix == ".json"
    with file.open(encoding="utf-8", errors="replace") as text:
        return '"eval":' not in text.read(400)


def read_cards(sources: Sequence[str], judge: str | None) -> "Iterator[tuple[str, str, Card]]":
    """Read card files, then make cards of the logs among the sources.

    Args:
        sources: Card files and logs, each as PATH or NAME=PATH.
        judge: Judge whose verdicts count in logs.

    Yields:
        The name given or the model's, the source, and the card.

    Raises:
        RimError: A file is no card, or its figures do not follow from its counts.
    """
    from rim_eval.card import check_card, make_card, read_card
    from rim_eval.observations import label_of

    logs = []
    for source in sources:
        label, path = label_of(source)
        if not is_card(path):
            logs.append(source)
            continue
        card = read_card(Path(path))
        if problems := check_card(card):
            raise RimError(f"{path}: {problems[0]}. Make the card again from its logs.")
        yield label or card.model, path, card
    if logs:
        table = read_table(logs, judge)
        for model in table.models:
            yield model, logs[0], make_card(table.of_model(model))


def _print_summary(card: "Card", folder: Path, measured: "Mapping[str, ValidationFile]") -> None:
    click.echo(f"{card.model}: {card.flag.sentence if card.flag else 'no RIM score'}")
    for problem in card.problems:
        click.echo(f"  {problem.says} (n = {problem.n})")
    used = {s.judge.name.split("@")[0] for s in card.sets if s.judge and s.judge.measured}
    for name in sorted(used & measured.keys()):
        click.echo(f"  agreement of {name} with people: {measured[name].path}")
    click.echo(f"  {folder}/card.html  card.md  card.json")


def _assign_reports(
    given: Sequence[str], models: Sequence[str]
) -> dict[str, tuple[Path, "MechanismReport"]]:
    """Find each card's report.

    Args:
        given: `FILE`, which belongs to the model whose name ends as the report's does, or
            `MODEL=FILE`, which says whose it is.
        models: Models that get a card.

    Raises:
        RimError: A file is no report, or it is not clear whose it is.
    """
    from rim_eval.mechanisms.report import read_report

    assigned: dict[str, tuple[Path, MechanismReport]] = {}
    for one in given:
        named, _, rest = one.partition("=")
        path = Path(one) if Path(one).is_file() or not rest else Path(rest)
        report = read_report(path)
        model = named if path != Path(one) else _model_of(report.model, models)
        if model not in models:
            raise RimError(
                f"--mechanisms {one}: the report is about {report.model!r}, and the logs are of "
                f"{', '.join(models) or 'no model'}. If they are the same model, say so: "
                f"--mechanisms {models[0] if models else 'MODEL'}={path}"
            )
        if model in assigned:
            raise RimError(
                f"--mechanisms {one}: {model} has a report already, {assigned[model][0]}."
            )
        assigned[model] = path, report
    return assigned


def _model_of(name: str, models: Sequence[str]) -> str:
    """The only model whose last part is the report's; the report's own name where there is none."""
    fits = [model for model in models if model.rsplit("/", 1)[-1] == name]
    return fits[0] if len(fits) == 1 else name


def _with_report(
    card: "Card", report: "tuple[Path, MechanismReport] | None"
) -> "tuple[Card, Sequence[Picture]]":
    """The card with its section on the inside of the model, and the section's pictures."""
    if report is None:
        return card, ()
    from rim_eval.mechanisms.card_section import card_section, section_pictures

    path, found = report
    section = card_section(found, path)
    return card.model_copy(update={"mechanisms": section}), section_pictures(found)
