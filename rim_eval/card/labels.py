"""Labels of the run itself on a card: figures that people's labels of a sample of its replies correct.

The counts are those of `rim-eval judge correct --out FILE`; every figure follows from them (`rim_eval.labelling`). They must be of
the very verdicts that the card counts: the replies by mode and verdict have to add up.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from rim_eval.card.schema import JudgeCard, LabelsCard, SetCard
from rim_eval.errors import RimError
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, points
from rim_eval.labelling import LabelCounts, corrected
from rim_eval.labelling.figures import CorrectedFigure
from rim_eval.results.counts import SetCounts
from rim_eval.types import MODES, Mode, PromptKind


def labels_of_set(
    dataset: str,
    kind: PromptKind,
    counts: SetCounts,
    judge: JudgeCard | None,
    labelled: Sequence[LabelCounts],
    level: float,
) -> LabelsCard | None:
    """What labels of a set's own replies say; None where none are of the set.

    Args:
        dataset: Name of the set, with its condition.
        kind: Kind of its prompts.
        counts: Its counts.
        judge: Its judge.
        labelled: Counts of labelled sheets, of any sets.
        level: Confidence of the intervals, a fraction.

    Raises:
        RimError: There are two sheets of the set, or one is of other verdicts than the card counts.
    """
    of_set = [each for each in labelled if (each.dataset, each.kind) == (dataset, kind)]
    if not of_set:
        return None
    if len(of_set) > 1:
        raise RimError(f"There are two labelled sheets of {dataset}: give one (--labels).")
    [found] = of_set
    if not _is_of(found, counts, judge):
        raise RimError(
            f"The labels of {dataset} ({found.labelled}, on verdicts of {found.judge}) are of other verdicts than these logs "
            "hold. Give the logs that the sheet was drawn from, and with --judge the judge that it is of."
        )
    return derive_labels(found, level)


def derive_labels(counts: LabelCounts, level: float) -> LabelsCard:
    """The section of a card that follows from labels.

    Args:
        counts: Counts of a labelled sheet.
        level: Confidence of the intervals, a fraction.
    """
    return LabelsCard(counts=counts, figures=corrected(counts, level))


def label_constraints(each: SetCard) -> Iterator[tuple[bool, str]]:
    """What labels must satisfy: they are of the set's own verdicts."""
    if each.labels is not None:
        fits = _is_of(each.labels.counts, each.counts, each.judge)
        yield fits, "the labels are of other verdicts than the counts"


def _is_of(labelled: LabelCounts, counts: SetCounts, judge: JudgeCard | None) -> bool:
    """Whether a sheet was drawn from the verdicts that are counted."""
    by = (labelled.judge, labelled.judge_sha256, labelled.judge_model, labelled.judge_sees)
    if judge is None or (judge.name, judge.sha256, judge.model, judge.sees) != by:
        return False
    replies = Counter[tuple[Mode, bool]]()
    for stratum in labelled.strata:
        replies[stratum.mode, stratum.verdict] += stratum.replies
    return replies == _verdicts(counts, labelled.modes)


def _verdicts(counts: SetCounts, modes: Sequence[Mode]) -> Counter[tuple[Mode, bool]]:
    """Replies by mode and verdict, of the prompts that are scored in each of the modes."""
    found = Counter[tuple[Mode, bool]]()
    for cell in counts.cells:
        if all(cell.outcome(mode).scored for mode in modes):
            for mode in modes:
                events, scored, _ = cell.outcome(mode)
                found[mode, True] += events * cell.prompts
                found[mode, False] += (scored - events) * cell.prompts
    return +found


def label_rows(each: SetCard) -> Iterator[tuple[object, ...]]:
    """Rates and difference, by the judge and corrected."""
    if each.labels is None:
        return
    figures = each.labels.figures
    for mode in MODES:
        if rate := figures.rates.get(mode):
            yield (MODE_WORDS[mode], *_cells(rate, share=True))
    if figures.difference:
        yield (KIND_WORDS[each.kind].difference, *_cells(figures.difference, share=False))


def _cells(figure: CorrectedFigure, *, share: bool) -> tuple[object, ...]:
    text = percent if share else points
    ends = interval(figure.lower, figure.upper, share=share)
    return (text(figure.raw), text(figure.value), ends, figure.n, figure.labelled)


def label_sentences(labels: LabelsCard) -> str:
    """Whether the judge errs alike in both modes, and what would help most."""
    audit = labels.figures.audit
    return " ".join([*([audit.sentence] if audit else []), labels.figures.advice])


def judge_doubt(labels: LabelsCard) -> str | None:
    """Why the judge's verdicts cannot be compared between the modes; None where the audit does not fail."""
    audit = labels.figures.audit
    if audit is None or audit.outcome != "fail":
        return None
    return "By people's labels of this run the judge errs differently in the two modes."


def label_headline(each: SetCard) -> str | None:
    """One sentence for the head of the card; None where nothing is corrected by labels."""
    difference = each.labels.figures.difference if each.labels else None
    if each.labels is None or difference is None:
        return None
    return (
        f"Corrected by {each.labels.counts.labelled} labels of this run, the {KIND_WORDS[each.kind].difference} on "
        f"{each.dataset} is {points(difference.value)} points ({interval(difference.lower, difference.upper)}). "
        f"{label_sentences(each.labels)}"
    )
