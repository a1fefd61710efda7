"""Labels of reasoning patterns: how a monitor agrees with people, and the prevalence corrected by them.

People mark the eight raw categories in traces that were drawn within strata of mode and the patterns that the monitor
found; three patterns follow from the categories. The prevalence of a label is prediction-powered
(`rim_eval.statistics.prediction_powered`). Agreement is about all traces that were read: a labelled trace of a stratum
of N traces with n labels counts N / n, and counts are scaled to their effective number (`effective_number`).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from pydantic import Field, NonNegativeInt

from rim_eval import statistics
from rim_eval.errors import RimError
from rim_eval.formatting import MODE_WORDS, interval, percent
from rim_eval.labelling.counts import (
    MOST_ANNOTATORS,
    AnnotatorPairs,
    PromptCell,
    pairs_of,
    prompt_cells,
)
from rim_eval.labelling.draw import Draw, Item
from rim_eval.labelling.figures import (
    ARM_OF,
    AnnotatorAgreement,
    CorrectedFigure,
    annotator_agreement,
    corrected_figure,
    tally_of_prompts,
)
from rim_eval.labelling.pattern_frame import categories
from rim_eval.patterns.monitor import patterns_of
from rim_eval.patterns.rubric import load_rubric
from rim_eval.statistics.agreement import Agreement
from rim_eval.types import PATTERNS, FiniteModel, Mode, Name, PromptKind

Marks = frozenset[str]
"""What one annotator says is in a trace: categories, and the patterns that follow from them."""


class MarkCounts(FiniteModel):
    """One label in one stratum."""

    found: NonNegativeInt
    """Traces of the stratum in which the monitor found it."""
    found_labelled: NonNegativeInt
    """Labelled traces in which it did."""
    people: float = Field(ge=0)
    """Sum of the people's labels, each from 0 to 1."""
    both: float = Field(ge=0)
    """The same over the labelled traces in which the monitor found it."""


class PatternStratum(FiniteModel):
    """Traces of one mode in which a monitor found the same patterns."""

    mode: Mode
    patterns: tuple[Name, ...]
    traces: int = Field(gt=0)
    drawn: NonNegativeInt
    labelled: NonNegativeInt
    marks: dict[Name, MarkCounts]


class PatternCounts(FiniteModel):
    """All counts behind the figures of one labelled sheet of traces."""

    model: Name
    dataset: Name
    kind: PromptKind
    monitor: Name
    monitor_sha256: Name | None
    grader: Name | None
    sheet: Name
    annotators: int = Field(ge=1, le=MOST_ANNOTATORS)
    strata: tuple[PatternStratum, ...]
    prompts: tuple[PromptCell, ...]
    agreement: dict[Name, dict[Mode, AnnotatorPairs]] = Field(default={})
    """By label and mode, where there are two annotators."""

    @property
    def modes(self) -> tuple[Mode, ...]:
        """Modes with labelled traces."""
        return tuple(dict.fromkeys(each.mode for each in self.strata if each.labelled))


class PatternFigure(FiniteModel):
    """One label in one mode."""

    label: Name
    mode: Mode
    prevalence: CorrectedFigure
    """Share of the traces that show it, by the monitor and as people would say."""
    monitor: Agreement
    """The monitor against people; counts of effective number."""
    annotators: AnnotatorAgreement | None


def mark_labels() -> tuple[str, ...]:
    """The labels that are compared: three patterns, then eight categories."""
    return (*PATTERNS, *(item.name for item in categories()))


def count_marks(draw: Draw, marks: Sequence[Mapping[str, Marks]]) -> PatternCounts:
    """Count the labels of a draw of traces.

    Args:
        draw: The draw.
        marks: Categories by item id, one mapping an annotator; one or two. Patterns follow from them.
    """
    frame, grouping = draw.frame, load_rubric().grouping
    whole = [
        {item: each | {*patterns_of(each, grouping)} for item, each in one.items()} for one in marks
    ]
    agreement: dict[str, dict[Mode, AnnotatorPairs]] = {}
    for label in mark_labels() if len(whole) == MOST_ANNOTATORS else ():
        one, two = ({item: label in each for item, each in by.items()} for by in whole)
        agreement[label] = pairs_of(draw, one, two)
    return PatternCounts(
        model=frame.model,
        dataset=frame.dataset,
        kind=frame.kind,
        monitor=frame.judge,
        monitor_sha256=frame.judge_sha256,
        grader=frame.judge_model,
        sheet=draw.sheet,
        annotators=len(marks),
        strata=tuple(_strata(draw, whole)),
        prompts=prompt_cells(draw),
        agreement=agreement,
    )


def _strata(draw: Draw, marks: Sequence[Mapping[str, Marks]]) -> Iterator[PatternStratum]:
    found: dict[tuple[str, bool, str], Counter[str]] = defaultdict(Counter)
    for reply in draw.frame.replies:
        found[reply.mode, reply.verdict, reply.doubt].update(reply.found)
    for key, traces in draw.sizes.items():
        items = [item for item in draw.items if item.stratum == key]
        labelled = [item for item in items if any(item.id in one for one in marks)]
        counts = {
            label: _mark(label, found[key][label], labelled, marks) for label in mark_labels()
        }
        yield PatternStratum.model_validate(
            {
                "mode": key[0],
                "patterns": key[2].split() if key[1] else (),
                "traces": traces,
                "drawn": len(items),
                "labelled": len(labelled),
                "marks": counts,
            }
        )


def _mark(
    label: str, found: int, labelled: Sequence[Item], marks: Sequence[Mapping[str, Marks]]
) -> MarkCounts:
    people = both = 0.0
    for item in labelled:
        said = [label in one[item.id] for one in marks if item.id in one]
        people += sum(said) / len(said)
        both += sum(said) / len(said) if label in item.reply.found else 0.0
    found_labelled = sum(label in item.reply.found for item in labelled)
    return MarkCounts(found=found, found_labelled=found_labelled, people=people, both=both)


def pattern_figures(counts: PatternCounts, level: float = 0.95) -> tuple[PatternFigure, ...]:
    """All figures of a labelled sheet of traces: by label, with thinking first.

    Args:
        counts: Its counts.
        level: Confidence of the intervals, a fraction.

    Raises:
        RimError: No trace has a label.
    """
    if not counts.modes:
        raise RimError("No trace has a label. Fill the sheet, then correct.")
    return tuple(
        PatternFigure(
            label=label,
            mode=mode,
            prevalence=_prevalence(counts, label, mode, level),
            monitor=_against_people(counts, label, mode),
            annotators=annotator_agreement(pairs)
            if (pairs := counts.agreement.get(label, {}).get(mode))
            else None,
        )
        for label in mark_labels()
        for mode in counts.modes
    )


def _prevalence(counts: PatternCounts, label: str, mode: Mode, level: float) -> CorrectedFigure:
    prompts = tally_of_prompts(counts.prompts)

    def powered(by_people: bool) -> statistics.PoweredRate:
        strata = [
            statistics.LabelStratum(
                mode=each.mode,
                verdict=label in each.patterns,
                doubt=" ".join(each.patterns),
                labelled=each.labelled if by_people else each.traces,
                positives=each.marks[label].people if by_people else each.marks[label].found,
            )
            for each in counts.strata
        ]
        return statistics.powered_rate(prompts, strata, ARM_OF[mode], level)

    # A category is not the same in all traces of a stratum, so the monitor's own rate is counted.
    raw, found = powered(by_people=False), powered(by_people=True)
    return corrected_figure(found, found.n).model_copy(update={"raw": raw.value})


def _against_people(counts: PatternCounts, label: str, mode: Mode) -> Agreement:
    """The monitor against people on all traces of a mode, by weighted labels."""
    strata = [each for each in counts.strata if each.mode == mode and each.labelled]
    weights = [each.traces / each.labelled for each in strata]
    sizes = [each.labelled for each in strata]
    scale = effective_number(weights, sizes) / sum(each.traces for each in strata)
    cells = [0.0] * 4
    for weight, each in zip(weights, strata, strict=True):
        one = each.marks[label]
        false_positive = one.found_labelled - one.both
        false_negative = one.people - one.both
        rest = each.labelled - one.both - false_positive - false_negative
        for number, n in enumerate((one.both, false_positive, rest, false_negative)):
            cells[number] += scale * weight * n
    hits, false_alarms, rest, misses = map(round, cells)
    return Agreement(
        true_positive=hits,
        false_positive=false_alarms,
        true_negative=rest,
        false_negative=misses,
    )


def effective_number(weights: Sequence[float], sizes: Sequence[float]) -> float:
    """How many equal labels tell as much as some weighted ones: (sum w)^2 / sum w^2.

    Source: L. Kish, Survey Sampling (1965), section 11.7.

    Args:
        weights: Weight of a label in each stratum.
        sizes: Labels in each stratum; not all 0.
    """
    total = math.fsum(w * n for w, n in zip(weights, sizes, strict=True))
    return total**2 / math.fsum(w**2 * n for w, n in zip(weights, sizes, strict=True))


def pattern_text(counts: PatternCounts, figures: Sequence[PatternFigure], level: float) -> str:
    """The figures for a terminal."""
    asks = f" asking {counts.grader}" if counts.grader else ""
    lines = []
    for mode in counts.modes:
        labelled = sum(each.labelled for each in counts.strata if each.mode == mode)
        lines += [
            f"PREVALENCE  {counts.model} on {counts.dataset}, {MODE_WORDS[mode]}; monitor {counts.monitor}{asks}; "
            f"{labelled} labelled traces",
            f"  {'':<28}{'monitor':>9}{'corrected':>11}   {f'{100 * level:g} % interval':<18}{'kappa':<21}{'sensitivity':<21}specificity",
        ]
        lines += [_line(each) for each in figures if each.mode == mode]
        lines += [
            f"  Annotators on {each.label}: {percent(each.annotators.share)} equal, kappa {each.annotators.kappa}"
            for each in figures
            if each.mode == mode and each.annotators and each.label in PATTERNS
        ]
    return "\n".join(lines)


def _line(figure: PatternFigure) -> str:
    rate, monitor = figure.prevalence, figure.monitor
    shares = f"{percent(rate.raw):>9}{percent(rate.value):>11}   {interval(rate.lower, rate.upper, share=True):<18}"
    return f"  {figure.label:<28}{shares}{monitor.kappa!s:<21}{monitor.sensitivity!s:<21}{monitor.specificity}"
