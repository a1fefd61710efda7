"""`rim-eval judge sample` and `judge correct`: labels from the run itself, and figures corrected by them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import click

from rim_eval import labelling
from rim_eval.errors import RimError, refuse_existing
from rim_eval.files import write_whole
from rim_eval.judging import Sees
from rim_eval.labelling.report import (
    LabelReport,
    PatternReport,
    drawn_text,
    make_pattern_report,
    make_report,
    pattern_report_text,
    report_text,
)
from rim_eval.patterns.registry import identity_name
from rim_eval.types import PROMPT_KINDS, PromptKind

_PATH: Final = click.Path(path_type=Path)
_LEVEL: Final = 0.95


@click.command()
@click.argument("logs", nargs=-1, required=True)
@click.option(
    "--n", default=80, show_default=True, type=click.IntRange(2, 100_000), help="Replies to label."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**53), help="Seed of the draw."
)
@click.option(
    "--judge", help="Whose verdicts, where several judges gave some: NAME, or NAME:GRADER."
)
@click.option(
    "--sees",
    type=click.Choice(get_args(Sees)),
    help="What the judge was shown, where it has read several parts of the replies.",
)
@click.option(
    "--set", "dataset", help="Prompt set, with its condition; needed where the logs hold several."
)
@click.option(
    "--kind",
    type=click.Choice(PROMPT_KINDS),
    help="Kind of prompts, where a set mixes them; harmful ones by default.",
)
@click.option(
    "--patterns",
    "about_patterns",
    is_flag=True,
    help="Ask about reasoning patterns in the traces that a monitor has read; --judge then names the monitor.",
)
@click.option(
    "--out", type=_PATH, default=Path("labels"), show_default=True, help="Folder of the sheet."
)
def sample(logs: Sequence[str], n: int, seed: int, judge: str | None, sees: Sees | None, dataset: str | None, kind: PromptKind | None, about_patterns: bool, out: Path) -> None:  # fmt: skip
    """Draw a blind, shuffled sheet of replies from finished LOGS, for people to label.

    Writes labels.html, a page that is filled with the keyboard and sends nothing, and labels.csv, the same for a
    spreadsheet program. Neither says which mode, verdict or model a reply is of. `rim-eval judge correct LOGS LABELS`
    then gives figures corrected by the labels. A sheet is of one model, set and judge. LOGS are Inspect logs (.eval,
    .json), lm-eval sample files of rim tasks (samples_rim_*.jsonl), and folders of them.
    """
    for name in ("labels.csv", "labels.html"):
        refuse_existing(out / name)
    read = labelling.read_pattern_frames if about_patterns else labelling.read_frames
    if about_patterns and judge:
        judge = identity_name(judge)
    frames = read(logs)
    frame = labelling.choose_frame(frames, dataset=dataset, kind=kind, judge=judge, sees=sees)
    draw = labelling.Draw(frame, n, seed)
    table, page = labelling.write_sheet(draw, out)
    click.echo(drawn_text(draw))
    click.echo(
        f"Fill one of these, alone and in its order, then keep the logs as they are:\n  {page}\n  {table}"
    )
    click.echo("Both hold texts of the run: keep them private, as the logs.")


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="LOGS... LABELS [LABELS2]")
@click.option(
    "--margin",
    default=labelling.MARGIN,
    show_default=True,
    type=click.FloatRange(0, 100, min_open=True),
    help="Percentage points of the difference that may rest on errors that differ between the modes.",
)
@click.option("--out", type=_PATH, help="Write counts and figures to this JSON file.")
def correct(sources: Sequence[str], margin: float, out: Path | None) -> None:
    """Correct the figures of LOGS by the LABELS that people gave to a sheet drawn from them.

    LOGS are exactly those that the sheet was drawn from; LABELS is the CSV that its page exported (or labels.csv,
    filled), LABELS2 that of a second annotator. Shows each mode's rate and their difference, by the judge and
    corrected, whether the judge errs alike in both modes, how the annotators agree, and what would help most. Of a sheet of
    traces (--patterns) it shows how the monitor agrees with people, and the prevalence corrected by them.
    """
    labels = [Path(source) for source in sources if source.lower().endswith(".csv")]
    logs = [source for source in sources if not source.lower().endswith(".csv")]
    if not labels or not logs:
        raise RimError(
            "Give the logs that the sheet was drawn from and the labels: rim-eval judge correct LOGS labels.csv"
        )
    if len({path.resolve() for path in labels}) < len(labels):
        raise RimError("One file of labels was given twice: give those of two annotators, or one.")
    files = [labelling.read_label_file(path) for path in labels]
    report: LabelReport | PatternReport
    if labelling.is_of_patterns(labelling.one_sheet(files)):
        report = make_pattern_report(labelling.read_pattern_frames(logs), files, _LEVEL)
        click.echo(pattern_report_text(report, _LEVEL))
    else:
        report = make_report(labelling.read_frames(logs), files, _LEVEL, margin)
        click.echo(report_text(report))
    if out is not None:
        write_whole({out: report.model_dump_json(indent=1) + "\n"})
        click.echo(f"Written to {out}")
