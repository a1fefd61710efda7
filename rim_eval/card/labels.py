"""Labels of the run itself on a card: figures that people's labels of a sample of its replies correct.

The counts are those of `rim-eval judge correct --out FILE`; every figure follows from them (`rim_eval.labelling`). They must be of
the very verdicts that the card counts: the replies by mode and verdict have to add up.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from rim_eval.card.schema import LabelsCard, SetCard
from rim_eval.errors import RimError
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, points
from rim_eval.labelling import LabelCounts, corrected
from rim_eval.labelling.figures import CorrectedFigure
from rim_eval.results.counts import SetCounts
from rim_eval.types import MODES, Mode

_Pairs = Counter[tuple[tuple[int, int], ...]]
"""Prompts by events and verdicts in each mode."""


def labels_of_set(
    each: SetCard, labelled: Sequence[LabelCounts], logs: Collection[str], level: float
) -> LabelsCard | None:
    """What labels of a set's own replies say; None where none are of the set.

    Args:
        each: The set.
        labelled: Counts of labelled sheets, of any sets.
        logs: SHA-256 of the logs that the set's counts come from.
        level: Confidence of the intervals, a fraction.

    Raises:
        RimError: There are two sheets of the set, or one is of other verdicts than the card counts.
    """
    of_set = [one for one in labelled if (one.dataset, one.kind) == (each.dataset, each.kind)]
    if not of_set:
        return None
    if len(of_set) > 1:
        raise RimError(f"There are two labelled sheets of {each.dataset}: give one (--labels).")
    [found] = of_set
    if not _is_of(found, each) or not set(found.logs) <= set(logs):
        raise RimError(
            f"The labels of {each.dataset} ({found.labelled}, on verdicts of {found.judge}) are of other verdicts than these logs "
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
        fits = _is_of(each.labels.counts, each)
        yield fits, "the labels are of other verdicts than the counts"


def _is_of(labelled: LabelCounts, each: SetCard) -> bool:
    """Whether a sheet was drawn from the verdicts that are counted: by the same judge, prompt by prompt."""
    judge, of_set = each.judge, (each.dataset, each.kind)
    by = (labelled.judge, labelled.judge_sha256, labelled.judge_model, labelled.judge_sees)
    if judge is None or (judge.name, judge.sha256, judge.model, judge.sees) != by:
        return False
    return (labelled.dataset, labelled.kind) == of_set and _drawn_from(labelled) == _counted(
        each.counts, labelled.modes
    )


def _drawn_from(labelled: LabelCounts) -> _Pairs:
    """Prompts of a sheet's frame by events and verdicts in each of its modes."""
    found = _Pairs()
    for cell in labelled.prompts:
        epochs = [cell.think if mode == "think" else cell.no_think for mode in labelled.modes]
        key = tuple((sum(labelled.strata[i].verdict for i in of), len(of)) for of in epochs)
        found[key] += cell.prompts
    return found


def _counted(counts: SetCounts, modes: Sequence[Mode]) -> _Pairs:
    """The same of the prompts that are scored in each of the modes."""
    found = _Pairs()
    for cell in counts.cells:
        outcomes = [cell.outcome(mode) for mode in modes]
        if all(outcome.scored for outcome in outcomes):
            found[tuple((o.events, o.scored) for o in outcomes)] += cell.prompts
    return found


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


def label_number(labels: LabelsCard) -> str:
    """How many labels there are, and of how many drawn replies where some are missing."""
    labelled, drawn = labels.counts.labelled, labels.counts.drawn
    if labelled == drawn:
        return f"{labelled} labels"
    return f"{labelled} labels of the {drawn} replies drawn (what is left out because it is hard biases them)"


def label_headline(each: SetCard) -> str | None:
    """One sentence for the head of the card; None where nothing is corrected by labels."""
    difference = each.labels.figures.difference if each.labels else None
    if each.labels is None or difference is None:
        return None
    return (
        f"Corrected by {label_number(each.labels)} of this run, the {KIND_WORDS[each.kind].difference} on "
        f"{each.dataset} is {points(difference.value)} points ({interval(difference.lower, difference.upper)}). "
        f"{label_sentences(each.labels)}"
    )
