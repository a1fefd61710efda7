"""From the counts of a labelled sheet to its figures: corrected rates and difference, audit, agreement, advice.

The prediction-powered figures and the audit are `rim_eval.statistics`' own. Beside them stands the measurement-error
correction (`rim_eval.statistics.judge_error`). Labels of a stratum are drawn with one probability and strata differ in
theirs, so sensitivity and specificity are weighted: a label of a stratum of N replies with n labels stands for N / n.
Weighted labels tell less than as many equal ones; each mode's are counted as their effective number
(sum w)^2 / sum w^2 (Kish 1965, Survey Sampling, section 11.7), rounded.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from pydantic import Field, NonNegativeInt

from rim_eval import statistics
from rim_eval.errors import RimError
from rim_eval.labelling.counts import AnnotatorPairs, LabelCounts
from rim_eval.results.rates import Share
from rim_eval.statistics.agreement import AgreementFigure
from rim_eval.statistics.kappa import kappa_interval
from rim_eval.types import FiniteModel, Mode, Sentence

MARGIN: Final = 10.0
"""Percentage points of the difference that may rest on errors that differ between the modes."""


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
    """The difference by the judge's error rates in each mode; None where it cannot be had, for the reason beside."""
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
    prompts: dict[tuple[tuple[int, ...], tuple[int, ...]], int]
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
    by_errors, missing = _by_errors(counts, level) if paired else (None, None)
    main = difference or next(iter(rates.values()))
    helps = _helps_most(main)
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
        helps_most=helps,
        advice=_advice(main, helps),
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
    prompts = Counter[tuple[tuple[int, ...], tuple[int, ...]]]()
    for cell in counts.prompts:
        prompts[cell.think, cell.no_think] += cell.prompts
    return _Input(dict(prompts), strata)


def _rate(given: _Input, mode: Mode, level: float) -> CorrectedFigure:
    arm: Literal["target", "reference"] = "target" if mode == "think" else "reference"
    found = statistics.powered_rate(given.prompts, given.strata, arm, level)
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
    arms: dict[Mode, str] = {"think": "target", "no_think": "reference"}
    judge = {
        mode: JudgeError.model_validate(
            {
                share: [plain[arm][share + end] for end in ("", "_lower", "_upper")]
                for share in JudgeError.model_fields
            }
        )
        for mode, arm in arms.items()
    }
    same = ("outcome", "value", "lower", "upper", "margin", "sentence")
    return Audit(judge=judge, **{name: plain[name] for name in same})


def annotator_agreement(pairs: AnnotatorPairs) -> AnnotatorAgreement:
    """How two annotators agree, from the counts of their labels."""
    equal, n = pairs.both + pairs.neither, sum(pairs.model_dump().values())
    kappa = kappa_interval(pairs.both, pairs.second_only, pairs.neither, pairs.first_only)
    figure = AgreementFigure(**kappa._asdict()) if kappa else AgreementFigure()
    return AnnotatorAgreement(n=n, share=equal / n if n else None, kappa=figure)


def _by_errors(counts: LabelCounts, level: float) -> tuple[CorrectedFigure | None, str | None]:
    """The difference by the judge's error rates in each mode, or why there is none."""
    if any(max(len(cell.think), len(cell.no_think)) > 1 for cell in counts.prompts):
        return (
            None,
            "Several epochs of one prompt are not independent, as this correction takes them.",
        )
    pairs = Counter[tuple[bool, bool]]()
    for cell in counts.prompts:
        verdicts = (counts.strata[index].verdict for (index,) in (cell.think, cell.no_think))
        pairs[tuple(verdicts)] += cell.prompts  # type: ignore[index]
    tally = statistics.PairCounts(
        *(pairs[p] for p in ((True, True), (True, False), (False, True), (False, False)))
    )
    try:
        think, no_think = (_calibration(counts, mode) for mode in ("think", "no_think"))
        found = statistics.corrected_difference(tally, think, no_think, level).to_dict()
    except RimError as error:
        return None, f"{str(error)[:1].upper()}{str(error)[1:]}"[:590].rstrip(".") + "."
    return CorrectedFigure(
        raw=found["raw"],
        value=found["difference"],
        lower=found["lower"],
        upper=found["upper"],
        n=found["n_pairs"],
        labelled=counts.labelled,
        method="measurement error (Rogan and Gladen), each mode by its own labels",
    ), None


def _calibration(counts: LabelCounts, mode: Mode) -> statistics.Calibration:
    """The judge in one mode, by labels weighted for how they were drawn.

    Raises:
        RimError: The labels hold no event, or nothing but events.
    """
    weighed = [
        (each.verdict, each.replies / each.labelled, each.positives, each.labelled - each.positives)
        for each in counts.strata
        if each.mode == mode and each.labelled
    ]
    hits, positives = _effective(
        [(verdict, weight, yes) for verdict, weight, yes, _ in weighed], True
    )
    rejections, negatives = _effective(
        [(verdict, weight, no) for verdict, weight, _, no in weighed], False
    )
    if not positives or not negatives:
        raise RimError(
            f"The labels of mode {mode} are all alike, so one of the judge's error rates there is not known. More labels, or "
            "a set with more of both outcomes, would tell"
        )
    return statistics.Calibration(
        true_positives=hits, positives=positives, true_negatives=rejections, negatives=negatives
    )


def _effective(weighed: Sequence[tuple[bool, float, float]], right: bool) -> tuple[int, int]:
    """How many labels of one kind the judge had right, and how many there are; their effective numbers.

    Args:
        weighed: The judge's verdict, the weight of a label, and how many labels of the kind there are, by stratum.
        right: The verdict that is right for this kind.
    """
    total = math.fsum(weight * n for _, weight, n in weighed)
    if not total:
        return 0, 0
    weights, sizes = [weight for _, weight, _ in weighed], [n for *_, n in weighed]
    n_effective = max(1, round(effective_number(weights, sizes)))
    share = math.fsum(weight * n for verdict, weight, n in weighed if verdict is right) / total
    return min(n_effective, round(share * n_effective)), n_effective


def effective_number(weights: Sequence[float], sizes: Sequence[float]) -> float:
    """How many equal labels tell as much as some weighted ones: (sum w)^2 / sum w^2.

    Args:
        weights: Weight of a label in each stratum.
        sizes: Labels in each stratum; not all 0.
    """
    total = math.fsum(w * n for w, n in zip(weights, sizes, strict=True))
    return total**2 / math.fsum(w**2 * n for w, n in zip(weights, sizes, strict=True))


def _helps_most(main: CorrectedFigure) -> Literal["labels", "prompts"] | None:
    if not main.label_variance and not main.prompt_variance:
        return None
    return "labels" if (main.label_variance or 0) > (main.prompt_variance or 0) else "prompts"


def _advice(main: CorrectedFigure, helps: Literal["labels", "prompts"] | None) -> str:
    """What would narrow the interval most, in a sentence."""
    if helps is None:
        return (
            "Neither labels nor prompts vary here, so nothing says which of them would help more."
        )
    labels, prompts = main.label_variance or 0.0, main.prompt_variance or 0.0
    share = 100 * max(labels, prompts) / (labels + prompts)
    other = f"; more {'prompts' if helps == 'labels' else 'labels'} would help less"
    return f"More {helps} would help most: {share:.0f} % of the uncertainty comes from them being few{other}."
