"""`rim-eval card`: one model's figures as JSON, Markdown and one page, from its logs."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rim_eval.errors import RimError
from rim_eval.files import write_whole

if TYPE_CHECKING:
    from rim_eval.card import Card, GateVerdict, Picture
    from rim_eval.judging import JudgeRepeats, Validation
    from rim_eval.labelling import LabelCounts
    from rim_eval.mechanisms.report import MechanismReport
    from rim_eval.observations import Table
    from rim_eval.release_gate import Decision

judge_option = click.option(
    "--judge", help="Judge whose verdicts count, where logs hold verdicts of more than one."
)

labels_option = click.option(
    "--labels",
    "label_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What `rim-eval judge correct --out` wrote: figures corrected by labels of this run (repeatable).",
)


@click.command()
@click.argument("logs", nargs=-1)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("card"),
    show_default=True,
    help="Folder for card.json, card.md and card.html, card.short.md for a model card, and the picture as card.svg and "
    "card.png; with several models, one folder below it for each.",
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
    "--patterns",
    metavar="MONITOR",
    help="Monitor whose findings in the traces are shown, such as cues (the keyword baseline); NAME:GRADER for one "
    "grader's. Default: the findings of a grader.",
)
@click.option(
    "--repeats",
    "repeat_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="LOG.repeats.json of `rim-eval judge repeat`, for the judge's part in the uncertainty (repeatable).",
)
@labels_option
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
@click.option(
    "--gate",
    "rules",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Limits of a release gate: the card then says pass, fail or cannot tell. The exit code is that of `rim-eval gate` "
    "alone.",
)
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="CARD.json",
    help="Card of another model, grey in the first picture (repeatable).",
)
@click.option(
    "--url",
    default="",
    help="Address of the folder that the page will be in: previews of links to it then find card.png.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of card.json and exit.")
def command(logs: Sequence[str], out: Path, judge: str | None, primary: str | None, accuracy: str | None, validations: Sequence[Path], patterns: str | None, repeat_files: Sequence[Path], label_files: Sequence[Path], reports: Sequence[str], observations: Path | None, rules: Path | None, others: Sequence[str], url: str, schema: bool) -> None:  # fmt: skip
    """Make the RIM card of LOGS: Inspect logs, folders, lm-eval sample files, tables of observations.

    NAME=PATH names the model of a path, for checkpoints whose logs all name one model.
    """
    from rim_eval.card import json_schema, make_card, not_comparable

    if schema:
        click.echo(json.dumps(json_schema(), indent=1))
        return
    if not logs:
        raise RimError("Give at least one log or folder: rim-eval card logs/")
    from rim_eval.patterns.registry import identity_name

    table = read_table(logs, judge, observations)
    measured = find_validations(judges_of(table), validations)
    repeats = _read_repeats(repeat_files, table)
    labelled = _read_labels(label_files, table)
    mechanisms = _reports_by_model(reports, table.models)
    beside = [card for _, _, card in read_cards(others, None)]
    for model in table.models:
        card = make_card(
            table.of_model(model),
            primary=primary,
            primary_reasoning=accuracy,
            validations=measured,
            patterns=patterns and identity_name(patterns),
            repeats=repeats,
            labelled=labelled[model],
        )
        pictures: Sequence[Picture] = ()
        if model in mechanisms:
            from rim_eval.mechanisms.card_section import card_section, section_pictures

            path, report = mechanisms[model]
            card = card.model_copy(update={"mechanisms": card_section(report, path)})
            pictures = section_pictures(report)
        folder = out
        if len(table.models) > 1:
            folder /= re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
        verdict = gate_verdict(card, rules) if rules else None
        write_card(card, folder, pictures, verdict=verdict, others=beside, url=url)
        for name in not_comparable(card, beside):
            click.echo(
                f"--with: {name} is not in the picture: its card lacks a set of this one, or a mode of it",
                err=True,
            )
        print_summary(card, folder, measured, verdict)
        if not patterns and (offline := _offline_monitors(table.of_model(model))):
            click.echo(
                f"  patterns: left off, only {offline} has read traces (--patterns shows them). Let a grader read: "
                "rim-eval patterns run LOGS --grader MODEL"
            )


def _read_repeats(files: Sequence[Path], table: "Table") -> "list[JudgeRepeats]":
    """Read repeated readings, each of one of the logs.

    Raises:
        RimError: A file is none, of another log, or given twice.
    """
    from rim_eval.judging import read_repeats

    repeats: dict[str, JudgeRepeats] = {}
    logs = {run.log_sha256 for run in table.runs}
    for path in files:
        each = read_repeats(path)
        if each.log_sha256 not in logs:
            raise RimError(
                f"--repeats {path} is of a log with SHA-256 {each.log_sha256[:12]}, which is not among those given. Give that "
                "log, or read these replies again: rim-eval judge repeat LOG."
            )
        if each.log_sha256 in repeats:
            raise RimError(
                f"--repeats {path}: there are repeats of the same log already. Give one."
            )
        repeats[each.log_sha256] = each
    return list(repeats.values())


def _read_labels(files: Sequence[Path], table: "Table") -> "dict[str, list[LabelCounts]]":
    """Read labelled sheets by the model that they are of.

    Raises:
        RimError: A file is none, or of a model or set that is not among the logs.
    """
    from rim_eval.labelling.report import read_report

    found: dict[str, list[LabelCounts]] = {model: [] for model in table.models}
    for path in files:
        counts = read_report(path).counts
        rows = table.frame[table.frame["model"] == counts.model]
        if counts.dataset not in set(rows["dataset"]):
            raise RimError(
                f"--labels {path} is of {counts.model} on {counts.dataset}, which is not among these logs "
                f"({', '.join(table.models)}). Give the logs that the sheet was drawn from."
            )
        found[counts.model].append(counts)
    return found


def gate_verdict(card: "Card", rules: Path) -> "GateVerdict":
    """Hold a card against limits, in the words that it shows.

    Args:
        card: The card.
        rules: YAML file of limits.

    Raises:
        RimError: The file cannot be read, or has content that is not allowed.
    """
    from rim_eval.release_gate import gate

    return verdict_of(gate(card, rules), rules.name)


def verdict_of(decision: "Decision", rules: str) -> "GateVerdict":
    """Put a gate's decision into the words that a card shows.

    Args:
        decision: What the gate said.
        rules: Name of the file of limits.
    """
    from rim_eval.card import GateVerdict

    limits = tuple((r.outcome, r.reason) for r in decision.results if r.tier == "block")
    outcome = "cannot tell" if decision.outcome == "missing" else decision.outcome
    return GateVerdict(outcome, rules, limits)


def write_card(
    card: "Card",
    folder: Path,
    pictures: "Sequence[Picture]" = (),
    *,
    verdict: "GateVerdict | None" = None,
    others: "Sequence[Card]" = (),
    url: str = "",
) -> None:
    """Write `card.json`, `card.md`, `card.short.md`, `card.html` and the picture, `card.svg` and `card.png`.

    Args:
        card: The card.
        folder: Folder of the files.
        pictures: Pictures of the section on the inside of the model.
        verdict: What a gate said of the card.
        others: Cards of other models, grey in the first picture.
        url: Address of the folder that the page will be in.
    """
    from rim_eval.card import card_html, card_json, card_markdown, card_pictures, card_summary

    preview = f"{url.rstrip('/')}/card.png" if url else "card.png"
    svg, png = card_pictures(card, verdict, others)
    write_whole(
        {
            folder / "card.json": card_json(card),
            folder / "card.md": card_markdown(card, verdict),
            folder / "card.short.md": card_summary(card, verdict),
            folder / "card.svg": svg,
            folder / "card.png": png,
            folder / "card.html": card_html(
                card, pictures, verdict=verdict, others=others, preview=preview
            ),
        }
    )


def judges_of(table: "Table") -> list[tuple[str, str]]:
    """Each judge behind a table, as observations name it, and the SHA-256 of its file."""
    judges = table.frame[["judge", "judge_sha256"]].dropna().astype(str).drop_duplicates()
    return list(judges.itertuples(index=False, name=None))


def find_validations(
    judges: Iterable[tuple[str, str]], files: Sequence[Path] = ()
) -> "dict[str, Validation]":
    """Find the measured agreement with people of the judges behind some observations, by judge name.

    Args:
        judges: Each judge as observations name it (`hexphi@1`), and the SHA-256 of its file; figures
            beside a shipped judge count only if they are of the file that judged.
        files: What `rim-eval judge validate` wrote; comes before what lies beside a judge.

    Raises:
        RimError: A file is no such file, or two are of one judge.
    """
    from rim_eval.judging import judge_names, load_judge, load_validation, read_validation

    validations: dict[str, Validation] = {}
    for validation in map(read_validation, files):
        first = validations.setdefault(validation.judge, validation)
        if first is not validation:
            raise RimError(
                f"{first.path} and {validation.path} are both about the judge `{first.judge}`. Give one; "
                "`rim-eval judge validate --out FILE` keeps several sets in one file."
            )
    shipped = set(judge_names())
    for judge_at_version, sha256 in judges:
        name = judge_at_version.split("@")[0]
        if name not in validations and set(name.split("+")) <= shipped:
            judge = load_judge(name)
            if judge.sha256 == sha256 and (beside := load_validation(judge)):
                validations[name] = beside
    return validations


def _offline_monitors(table: "Table") -> str:
    """Names of the offline monitors that read a table's traces; empty where a grader read any."""
    frame = table.frame
    names = frame["pattern_monitor"].dropna().astype(str).unique()
    return "" if frame["pattern_grader"].notna().any() else ", ".join(sorted(names))


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


def split_sources(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell card files from logs.

    Args:
        sources: Card files and logs, each as PATH or NAME=PATH.

    Returns:
        The card files and the logs, each in the order given.
    """
    from rim_eval.observations import label_of

    cards = [source for source in sources if is_card(label_of(source)[1])]
    return cards, [source for source in sources if source not in cards]


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
    from rim_eval.card import check_card, read_card
    from rim_eval.observations import label_of

    cards, logs = split_sources(sources)
    for source in cards:
        label, path = label_of(source)
        card = read_card(Path(path))
        if problems := check_card(card):
            raise RimError(f"{path}: {problems[0]}. Make the card again from its logs.")
        yield label or card.model, path, card
    if logs:
        for card in cards_of(read_table(logs, judge)):
            yield card.model, logs[0], card


def cards_of(table: "Table", label_files: Sequence[Path] = ()) -> "Iterator[Card]":
    """Make the card of each model of a table.

    Args:
        table: What logs hold.
        label_files: What `rim-eval judge correct --out` wrote of them.

    Raises:
        RimError: Labels are not of these logs.
    """
    from rim_eval.card import make_card

    labelled = _read_labels(label_files, table)
    for model in table.models:
        yield make_card(table.of_model(model), labelled=labelled[model])


def print_summary(
    card: "Card",
    folder: Path,
    measured: "Mapping[str, Validation]",
    verdict: "GateVerdict | None",
) -> None:
    """Say what a card shows, what is the matter with it, and where its files are.

    Args:
        card: The card.
        folder: Where it was written.
        measured: Agreement of judges with people, by judge.
        verdict: What a gate said of it.
    """
    from rim_eval.card import finding

    found = finding(card)
    said = (
        found.sentence,
        *found.certainty,
        found.answer,
        *([verdict.sentence] if verdict else []),
    )
    click.echo(f"{card.model}: {' '.join(said)}")
    for problem in card.problems:
        click.echo(f"  {problem.says} (n = {problem.n})")
    used = {s.judge.name.split("@")[0] for s in card.sets if s.judge and s.judge.measured}
    for name in sorted(used & measured.keys()):
        click.echo(f"  agreement of {name} with people: {measured[name].path}")
    click.echo(f"  {folder}/card.html  card.md  card.short.md  card.json  card.svg  card.png")


def _reports_by_model(
    options: Sequence[str], models: Sequence[str]
) -> "dict[str, tuple[Path, MechanismReport]]":
    """Read the reports: `FILE` is of the model whose name ends as the report's does, `MODEL=FILE` says whose it is.

    Raises:
        RimError: A file is no report, or it is not clear whose it is.
    """
    from rim_eval.mechanisms.report import read_report

    reports: dict[str, tuple[Path, MechanismReport]] = {}
    for option in options:
        model, _, file = option.partition("=")
        names_model = bool(file) and not Path(option).is_file()
        path = Path(file if names_model else option)
        report = read_report(path)
        if not names_model:
            same_name = [each for each in models if each.rsplit("/", 1)[-1] == report.model]
            model = same_name[0] if len(same_name) == 1 else report.model
        if model not in models:
            raise RimError(
                f"--mechanisms {option}: the report is about {report.model!r}, and the logs are of "
                f"{', '.join(models) or 'no model'}. If they are the same model, say so: "
                f"--mechanisms {models[0] if models else 'MODEL'}={path}"
            )
        if model in reports:
            raise RimError(
                f"--mechanisms {option}: {model} has a report already, {reports[model][0]}."
            )
        reports[model] = path, report
    return reports
