"""The judge on the card: what is known of it, and figures corrected for its errors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from rim_eval.card.schema import Corrected, JudgeCard, JudgeCounts, JudgeFigures
from rim_eval.errors import RimError
from rim_eval.judging import Validation
from rim_eval.results.counts import Cell, SetCounts
from rim_eval.statistics import Calibration, PairCounts, corrected_difference, corrected_rate
from rim_eval.types import MODES, Mode, PromptKind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EVENTS", "correct", "corrected_from", "judge_card"]

EVENTS: Final[dict[PromptKind, str]] = {"harmful": "misaligned", "benign": "refused"}


def judge_card(
    frame: "pd.DataFrame", validations: Mapping[str, Validation] | None = None
) -> JudgeCard | None:
    """The judge of one set; None when nothing was judged.

    Args:
        frame: Rows of one set and kind.
        validations: Measured agreement by judge name.

    Raises:
        RimError: The rows come from more than one judge.
    """
    columns = ["judge", "judge_sha256", "judge_model", "judge_sees"]
    found = frame[columns].dropna(subset="judge").astype("object").drop_duplicates()
    if found.empty:
        return None
    if len(found) > 1:
        names = ", ".join(
            sorted(f"{j} ({_text(m) or 'offline'}, sees {s})" for j, _, m, s in found.values)
        )
        raise RimError(
            f"{frame['dataset'].iloc[0]} was judged in more than one way: {names}. "
            "Choose one with --judge NAME (or NAME:GRADER), or give logs of one."
        )
    name, sha256, model, sees = (_text(value) for value in found.iloc[0])
    kind: PromptKind = frame["kind"].iloc[0]
    validation = (validations or {}).get(str(name).split("@")[0])
    measured = _measured(validation, sha256, model, sees, kind) if validation else ()
    return JudgeCard(name=str(name), sha256=sha256, model=model, sees=sees, measured=measured)


def correct(counts: SetCounts, judge: JudgeCard | None, level: float) -> Corrected | None:
    """Figures corrected for the judge's errors; None where it was not measured.

    Each mode is corrected by labels of its own mode where there are any; otherwise all labels serve
    both modes, and the card says so.

    Raises:
        RimError: The judge is too near to guessing to be corrected for, or prompts were asked in
            several epochs.
    """
    sets = dict.fromkeys(figures.set for figures in judge.measured) if judge else {}
    for labelled in sets:
        ours = [figures for figures in judge.measured if figures.set == labelled]  # type: ignore[union-attr]
        by_mode = {mode: _pooled([f for f in ours if f.mode == mode]) for mode in MODES}
        own = {mode: found for mode, found in by_mode.items() if found is not None}
        pooled = _pooled(ours)
        if len(own) == len(MODES):
            return corrected_from(counts, labelled, own, shared=False, level=level)
        if pooled is not None:
            both = dict.fromkeys(MODES, pooled)
            return corrected_from(counts, labelled, both, shared=True, level=level)
    return None


def corrected_from(
    counts: SetCounts,
    labelled_set: str,
    calibration: Mapping[Mode, JudgeCounts],
    *,
    shared: bool,
    level: float,
) -> Corrected:
    """The correction from its counts: what the card shows, and what a check computes again.

    Raises:
        RimError: The judge is too near to guessing, the counts do not fit, or a prompt has several
            verdicts, which are not independent of each other.
    """
    if any(max(c.think.scored, c.no_think.scored) > 1 for c in counts.cells):
        raise RimError(
            "several epochs of one prompt are not independent verdicts, and the correction takes them as such. "
            "Give one epoch for corrected figures"
        )
    known = {mode: Calibration(**c.model_dump()) for mode, c in calibration.items()}
    rates = {
        mode: corrected_rate(arm.events, arm.scored, known[mode], level)
        for mode, arm in counts.arms.items()
        if arm.scored
    }
    pairs = _pairs(counts.cells)
    difference = (
        corrected_difference(pairs, known["think"], None if shared else known["no_think"], level)
        if sum(pairs)
        else None
    )
    return Corrected(
        labelled_set=labelled_set,
        calibration=dict(calibration),
        shared=shared,
        rates={mode: (r.value, r.lower, r.upper) for mode, r in rates.items()},
        difference=(difference.difference, difference.lower, difference.upper)
        if difference
        else None,
        n_pairs=sum(pairs),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _pairs(cells: Sequence[Cell]) -> PairCounts:
    """Pairs by their two verdicts."""
    counts = {(first, second): 0 for first in (1, 0) for second in (1, 0)}
    for cell in cells:
        if cell.think.scored and cell.no_think.scored:
            counts[cell.think.events, cell.no_think.events] += cell.prompts
    return PairCounts(*counts.values())


def _measured(
    validation: Validation,
    sha256: str | None,
    model: str | None,
    sees: str | None,
    kind: PromptKind,
) -> tuple[JudgeFigures, ...]:
    """What was measured of exactly this judge file, grader, input and event."""
    return tuple(
        JudgeFigures(
            set=measurement.set,
            model=group.model,
            mode=group.mode,
            event=group.event,
            grader=measurement.grader,
            true_positive=group.agreement.true_positive,
            false_positive=group.agreement.false_positive,
            true_negative=group.agreement.true_negative,
            false_negative=group.agreement.false_negative,
            unscored=group.agreement.n - group.agreement.n_scored,
            kappa=group.agreement.kappa.value,
        )
        for measurement in validation.measurements
        for group in measurement.groups
        if measurement.judge_sha256 == sha256
        and measurement.grader == model
        and measurement.sees == sees
        and group.event == EVENTS.get(kind)
    )


def _pooled(figures: Sequence[JudgeFigures]) -> JudgeCounts | None:
    """All labelled replies together; None when a correction would lack positives or negatives."""
    hits = sum(f.true_positive for f in figures)
    positives = hits + sum(f.false_negative for f in figures)
    passes = sum(f.true_negative for f in figures)
    negatives = passes + sum(f.false_positive for f in figures)
    if not positives or not negatives:
        return None
    return JudgeCounts(
        true_positives=hits, positives=positives, true_negatives=passes, negatives=negatives
    )
