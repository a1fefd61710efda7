"""From the counts of a labelled sheet to its figures: corrected rates and difference, audit, agreement, advice.

The figures are `rim_eval.statistics`' own (`prediction_powered`, `transport`): this module turns counts into what they
take, and keeps what a card or a terminal shows.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydantic import Field, NonNegativeInt

from rim_eval import statistics
from rim_eval.errors import RimError
from rim_eval.labelling.counts import AnnotatorPairs, LabelCounts, PromptCell
from rim_eval.results.rates import Share
from rim_eval.statistics import StratifiedPrompts
from rim_eval.statistics.agreement import AgreementFigure
from rim_eval.statistics.kappa import kappa_interval
from rim_eval.statistics.transport import DEFAULT_MARGIN
from rim_eval.types import FiniteModel, Mode, Sentence

MARGIN: Final = DEFAULT_MARGIN
"""Percentage points of the difference that may rest on errors that differ between the modes."""


ARM_OF: Final[dict[Mode, Literal["target", "reference"]]] = {
    "think": "target",
    "no_think": "reference",
}
"""Which arm of the difference a mode is."""


class CorrectedFigure(FiniteModel):
    """A figure by the judge alone and corrected by labels: fractions for a rate, points for a difference."""

    raw: Share
    value: Share
    lower: Share
    upper: Share
    n: NonNegativeInt
    """Prompts of a rate, pairs of a difference."""
    labelled: NonNegativeInt
    label_variance: Share = None
    """Part of the squared standard error that more labels would remove."""
    prompt_variance: Share = None
    """Part that more prompts would remove."""
    labels_only_width: Share = None
    """Width of the interval that as many labels would give without the judge."""
    method: str


class JudgeError(FiniteModel):
    """How the judge did in one mode, by the labels, with intervals; fractions."""

    sensitivity: tuple[Share, Share, Share]
    """Of the replies that people call the event, the share that the judge does; value, lower, upper."""
    specificity: tuple[Share, Share, Share]


class Audit(FiniteModel):
    """Whether the judge errs alike in both modes."""

    outcome: Literal["pass", "fail", "cannot tell"]
    value: Share
    """Points of the raw difference that are due to errors that differ between the modes."""
    lower: Share
    upper: Share
    margin: float = Field(gt=0)
    judge: dict[Mode, JudgeError]
    sentence: Sentence


class AnnotatorAgreement(FiniteModel):
    """How two annotators agree in one mode."""

    n: NonNegativeInt
    """Items that both labelled."""
    share: Share
    """Share of them with equal labels."""
    kappa: AgreementFigure
    """Cohen's, with a 95 % bootstrap interval."""


class LabelFigures(FiniteModel):
    """Everything that follows from the counts of one labelled sheet."""

    level: float = Field(gt=0, lt=1)
    rates: dict[Mode, CorrectedFigure]
    difference: CorrectedFigure | None
    """With thinking minus without; None where the sheet is of one mode."""
    measurement_error: CorrectedFigure | None
    """The difference by one sensitivity and specificity for both modes, which holds only where the audit passes; None
    where it cannot be had, for the reason beside."""
    measurement_error_missing: Sentence | None = None
    audit: Audit | None
    """None where the sheet is of one mode."""
    agreement: dict[Mode, AnnotatorAgreement]
    alone: tuple[CorrectedFigure | None, ...]
    """The difference with each annotator's labels alone; empty with one annotator."""
    helps_most: Literal["labels", "prompts"] | None
    """What would narrow the interval of the difference (or of the one rate) more."""
    advice: Sentence


class _Input(NamedTuple):
    prompts: StratifiedPrompts
    strata: list[statistics.LabelStratum]


def corrected(counts: LabelCounts, level: float = 0.95, margin: float = MARGIN) -> LabelFigures:
    """All figures of a labelled sheet.

    Args:
        counts: Its counts.
        level: Confidence of all intervals, a fraction.
        margin: Percentage points of the difference that may rest on errors that differ between the modes.

    Raises:
        RimError: A mode has no label at all.
    """
    _refuse_bare_modes(counts)
    given = _input(counts)
    rates = {mode: _rate(given, mode, level) for mode in counts.modes}
    paired = len(counts.modes) > 1
    difference = _difference(given, level) if paired else None
    by_errors, missing = _by_errors(given, level) if paired else (None, None)
    main = difference or next(iter(rates.values()))
    return LabelFigures(
        level=level,
        rates=rates,
        difference=difference,
        measurement_error=by_errors,
        measurement_error_missing=missing,
        audit=_audit(given, margin, level) if paired else None,
        agreement={mode: annotator_agreement(pairs) for mode, pairs in counts.agreement.items()},
        alone=tuple(_alone(counts, number, level) for number in range(counts.annotators))
        if counts.annotators > 1
        else (),
        helps_most=_helps_most(main),
        advice=advice_of(main),
    )


def _refuse_bare_modes(counts: LabelCounts) -> None:
    bare = set(counts.modes) - {s.mode for s in counts.strata if s.labelled}
    if bare:
        raise RimError(
            f"No reply of mode {', '.join(sorted(bare))} has a label, so nothing is known of the judge there. Label the whole "
            "sheet: its items come in random order, and the modes are not to be told apart."
        )


def _input(counts: LabelCounts, annotator: int | None = None) -> _Input:
    """The counts as the statistics take them, with the labels of all annotators or of one."""
    strata = []
    for each in counts.strata:
        one = each if annotator is None else each.annotators[annotator]
        strata.append(
            statistics.LabelStratum(
                mode=each.mode,
                verdict=each.verdict,
                doubt=each.doubt,
                labelled=one.labelled,
                positives=one.positives,
            )
        )
    return _Input(tally_of_prompts(counts.prompts), strata)


def tally_of_prompts(cells: Sequence[PromptCell]) -> StratifiedPrompts:
    """Prompts by the strata of their replies, as the statistics take them."""
    prompts = Counter[tuple[tuple[int, ...], tuple[int, ...]]]()
    for cell in cells:
        prompts[cell.think, cell.no_think] += cell.prompts
    return prompts


def _rate(given: _Input, mode: Mode, level: float) -> CorrectedFigure:
    found = statistics.powered_rate(given.prompts, given.strata, ARM_OF[mode], level)
    return corrected_figure(found, found.n)


def _difference(given: _Input, level: float) -> CorrectedFigure:
    found = statistics.powered_difference(given.prompts, given.strata, level)
    return corrected_figure(found, found.n_pairs)


def corrected_figure(
    found: statistics.PoweredRate | statistics.PoweredDifference, n: int
) -> CorrectedFigure:
    """What is kept of a prediction-powered figure.

    Args:
        found: The figure.
        n: Its prompts or pairs.
    """
    plain = found.to_dict()  # NaN becomes None
    return CorrectedFigure(
        n=n, **{k: plain[k] for k in CorrectedFigure.model_fields if k in plain and k != "n"}
    )


def _alone(counts: LabelCounts, annotator: int, level: float) -> CorrectedFigure | None:
    try:
        return _difference(_input(counts, annotator), level) if len(counts.modes) > 1 else None
    except RimError:  # this one labelled nothing that the figure needs
        return None


def _audit(given: _Input, margin: float, level: float) -> Audit:
    found = statistics.transport_audit(given.prompts, given.strata, margin, level)
    plain = found.to_dict()
    judge = {
        mode: JudgeError.model_validate(
            {
                share: [plain[arm][share + end] for end in ("", "_lower", "_upper")]
                for share in JudgeError.model_fields
            }
        )
        for mode, arm in ARM_OF.items()
    }
    same = ("outcome", "value", "lower", "upper", "margin", "sentence")
    return Audit(judge=judge, **{name: plain[name] for name in same})


def annotator_agreement(pairs: AnnotatorPairs) -> AnnotatorAgreement:
    """How two annotators agree, from the counts of their labels."""
    equal, n = pairs.both + pairs.neither, sum(pairs.model_dump().values())
    kappa = kappa_interval(pairs.both, pairs.second_only, pairs.neither, pairs.first_only)
    figure = AgreementFigure(**kappa._asdict()) if kappa else AgreementFigure()
    return AnnotatorAgreement(n=n, share=equal / n if n else None, kappa=figure)


def _by_errors(given: _Input, level: float) -> tuple[CorrectedFigure | None, str | None]:
    """The difference by one error rate of each kind for both modes, or why there is none."""
    try:
        found = statistics.shared_correction(given.prompts, given.strata, level).to_dict()
    except RimError as error:
        return None, str(error)
    return CorrectedFigure(
        raw=found["raw"],
        value=found["difference"],
        lower=found["difference_lower"],
        upper=found["difference_upper"],
        n=found["n_pairs"],
        labelled=sum(each.labelled for each in given.strata),
        method="measurement error (Rogan and Gladen), one calibration for both modes",
    ), None


def _helps_most(main: CorrectedFigure) -> Literal["labels", "prompts"] | None:
    if not main.label_variance and not main.prompt_variance:
        return None
    return "labels" if (main.label_variance or 0) > (main.prompt_variance or 0) else "prompts"


def advice_of(main: CorrectedFigure) -> str:
    """What would narrow the interval of a figure most, labels or prompts, in a sentence."""
    if (helps := _helps_most(main)) is None:
        return (
            "Neither labels nor prompts vary here, so nothing says which of them would help more."
        )
    parts = {"labels": main.label_variance or 0.0, "prompts": main.prompt_variance or 0.0}
    share = 100 * parts[helps] / sum(parts.values())
    other = "prompts" if helps == "labels" else "labels"
    return (
        f"More {helps} would narrow the interval most: {share:.0f} % of its variance is due to how few they are, "
        f"{100 - share:.0f} % to how few {other} there are."
    )
