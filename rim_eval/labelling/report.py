"""The report on a labelled sheet: counts and figures as JSON, and as text for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from rim_eval._version import __version__
from rim_eval.errors import RimError, first_complaint
from rim_eval.files import read_json_object
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, estimate, interval, percent, points
from rim_eval.labelling.counts import MOST_ANNOTATORS, LabelCounts, count_labels
from rim_eval.labelling.draw import Draw, draw_again
from rim_eval.labelling.figures import CorrectedFigure, LabelFigures, corrected
from rim_eval.labelling.labels import LabelFile, one_sheet
from rim_eval.labelling.pattern_frame import categories
from rim_eval.labelling.pattern_labels import (
    PatternCounts,
    PatternFigure,
    count_marks,
    pattern_figures,
    pattern_text,
)
from rim_eval.labelling.sampling_frame import SamplingFrame
from rim_eval.types import FiniteModel, Name

_LISTED: Final = 5
_OUTCOMES: Final = {"pass": "PASS", "fail": "FAIL", "cannot tell": "CANNOT TELL"}


class Annotator(FiniteModel):
    """One annotator's file."""

    file: Name
    labelled: int
    unlabelled: tuple[str, ...]
    """Drawn items that got no label, by id: empty, skipped, or left out of the file."""


class PatternReport(FiniteModel):
    """What `rim-eval judge correct` writes of a sheet of traces."""

    schema_version: Literal[1] = 1
    rim_eval: Name
    counts: PatternCounts
    figures: tuple[PatternFigure, ...]
    annotators: tuple[Annotator, ...]


class LabelReport(FiniteModel):
    """What `rim-eval judge correct` writes."""

    schema_version: Literal[1] = 1
    rim_eval: Name
    """Version of rim_eval that computed the figures."""
    counts: LabelCounts
    """Everything that the figures follow from."""
    figures: LabelFigures
    annotators: tuple[Annotator, ...]


def read_report(path: Path) -> LabelReport:
    """Read what `rim-eval judge correct --out` wrote of labelled verdicts.

    Raises:
        RimError: It cannot be read, or is no such file.
    """
    content = read_json_object(path)
    try:
        return LabelReport.model_validate(content)
    except ValidationError as error:
        raise RimError(
            f"{path} is no report of labelled verdicts ({first_complaint(error, 'the file')}). Make one: rim-eval judge "
            f"correct LOGS labels.csv --out {path.name}"
        ) from None


def make_report(
    frames: Sequence[SamplingFrame], files: Sequence[LabelFile], level: float, margin: float
) -> LabelReport:
    """Draw a sheet again, hold the labels against it, and compute its figures.

    Args:
        frames: What the logs hold.
        files: One or two annotators' labels of one sheet.
        level: Confidence of the intervals, a fraction.
        margin: Percentage points of the difference that may rest on errors that differ between the modes.

    Raises:
        RimError: The labels are not of a draw from these logs, or not as a sheet takes them.
    """
    _refuse_crowd(files)
    draw = draw_again(frames, one_sheet(files))
    labels = [file.labels(draw) for file in files]
    counts = count_labels(draw, labels)
    return LabelReport(
        rim_eval=__version__,
        counts=counts,
        figures=corrected(counts, level, margin),
        annotators=_annotators(draw, files, labels),
    )


def make_pattern_report(
    frames: Sequence[SamplingFrame], files: Sequence[LabelFile], level: float
) -> PatternReport:
    """The same for a sheet of traces.

    Args:
        frames: Traces that the logs hold.
        files: One or two annotators' labels of one sheet.
        level: Confidence of the intervals, a fraction.

    Raises:
        RimError: As `make_report` raises it.
    """
    _refuse_crowd(files)
    draw = draw_again(frames, one_sheet(files))
    marks = [file.marks(draw, [item.name for item in categories()]) for file in files]
    counts = count_marks(draw, marks)
    return PatternReport(
        rim_eval=__version__,
        counts=counts,
        figures=pattern_figures(counts, level),
        annotators=_annotators(draw, files, marks),
    )


def _annotators(
    draw: Draw, files: Sequence[LabelFile], labels: Sequence[Mapping[str, object]]
) -> tuple[Annotator, ...]:
    return tuple(
        Annotator(
            file=file.name,
            labelled=len(given),
            unlabelled=tuple(item.id for item in draw.items if item.id not in given),
        )
        for file, given in zip(files, labels, strict=True)
    )


def _refuse_crowd(files: Sequence[LabelFile]) -> None:
    if not 1 <= len(files) <= MOST_ANNOTATORS:
        raise RimError(
            f"{len(files)} files of labels were given. Give one, or two of different annotators, as CSV."
        )


def pattern_report_text(report: PatternReport, level: float) -> str:
    """The report on traces for a terminal."""
    drawn = sum(each.drawn for each in report.counts.strata)
    lines = [pattern_text(report.counts, report.figures, level), ""]
    lines += [_unlabelled(one, drawn) for one in report.annotators if one.unlabelled]
    return "\n".join([*lines, f"{drawn} traces were drawn (sheet {report.counts.sheet})."])


def report_text(report: LabelReport) -> str:
    """The report for a terminal."""
    counts, figures = report.counts, report.figures
    words = KIND_WORDS[counts.kind]
    grader = f" asking {counts.judge_model}" if counts.judge_model else ""
    lines = [
        f"{words.rate.upper()}  {counts.model} on {counts.dataset}; judge {counts.judge}{grader}",
        f"  {'':<22}{'judge':>8}{'corrected':>11}   {f'{100 * figures.level:g} % interval':<20}{'prompts':>8}{'labels':>8}",
        *_rows(figures, words.difference),
    ]
    if figures.measurement_error_missing:
        lines.append(f"  There is no figure by one error rate: {figures.measurement_error_missing}")
    if counts.left_out:
        lines.append(f"  {counts.left_out} prompts with a verdict in one mode only are left out.")
    return "\n".join([*lines, "", *_sentences(report)])


def _rows(figures: LabelFigures, difference: str) -> Iterator[str]:
    for mode, name in MODE_WORDS.items():
        if mode in figures.rates:
            yield _row(name, figures.rates[mode], share=True)
    failed = figures.audit is not None and figures.audit.outcome == "fail"
    for name, figure in (
        (difference, figures.difference),
        ("  by one error rate", None if failed else figures.measurement_error),
    ):
        if figure:
            yield _row(name, figure)
    for number, figure in enumerate(figures.alone, 1):
        if figure:
            yield _row(f"  by annotator {number}", figure)


def _row(name: str, figure: CorrectedFigure, *, share: bool = False) -> str:
    write = percent if share else points
    ends = interval(figure.lower, figure.upper, share=share)
    values = f"{write(figure.raw):>8}{write(figure.value):>11}   {ends:<20}"
    return f"  {name:<22}{values}{figure.n:>8}{figure.labelled:>8}"


def _sentences(report: LabelReport) -> Iterator[str]:
    counts, figures = report.counts, report.figures
    if audit := figures.audit:
        yield f"Transport audit: {_OUTCOMES[audit.outcome]}. {audit.sentence}"
        yield from (
            f"The judge {MODE_WORDS[mode]}: sensitivity {estimate(*one.sensitivity, share=True)}, "
            f"specificity {estimate(*one.specificity, share=True)}."
            for mode, one in audit.judge.items()
        )
    for mode, one in figures.agreement.items():
        yield (
            f"Annotators, {MODE_WORDS[mode]}: {percent(one.share)} equal labels, Cohen's kappa {one.kappa}, "
            f"n = {one.n}."
        )
    yield figures.advice
    yield f"{counts.labelled} of {counts.drawn} drawn replies have a label (sheet {counts.sheet})."
    yield from (_unlabelled(one, counts.drawn) for one in report.annotators if one.unlabelled)


def _unlabelled(one: Annotator, drawn: int) -> str:
    n, rest = len(one.unlabelled), len(one.unlabelled) - _LISTED
    more = f" and {rest} more" if rest > 0 else ""
    return (
        f"{one.file}: {n} of {drawn} items have no label: {', '.join(one.unlabelled[:_LISTED])}{more}. Items that "
        "were left out because they are hard bias every figure here."
    )


def drawn_text(draw: Draw) -> str:
    """How many replies a sheet holds, in a sentence that tells nothing of any of them."""
    what, strata = "judged replies", "mode, verdict and doubt"
    if draw.frame.about == "patterns":
        what, strata = "traces that were read", "mode and found patterns"
    return (
        f"{len(draw.items)} of {len(draw.frame.replies)} {what}, drawn at random in {len(draw.sizes)} strata of {strata}: "
        f"{draw.frame}."
    )
