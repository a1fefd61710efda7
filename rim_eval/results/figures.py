"""From counts to figures: rates, the paired difference, the check of the modes, and what several sets say together.

Everything that shows a figure takes it from here: Inspect's metrics and the demo from `set_results`, and
the card (behind comparison, release gate and leaderboard) from the same counts.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic import Field

from rim_eval.errors import RimError
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    NOTHING_TO_READ,
    estimate,
    only_mode_sentence,
)
from rim_eval.observations import Observation
from rim_eval.results.columns import columns_of_rows
from rim_eval.results.counts import Cell, SetCounts, count_set, tally_of
from rim_eval.results.doses import CurveCounts, DoseCurve, count_doses, curve_of, least_and_most
from rim_eval.results.rates import ArmRate, Difference, VarianceParts
from rim_eval.results.taxonomy import ArmOutcomes, arm_outcomes
from rim_eval.statistics import (
    PairedDifference,
    RimFlag,
    holm,
    rim_flag,
    sequential_arm_summary,
    sequential_difference,
    tallied_arm_summary,
    tallied_rim_score,
    tallied_variance_split,
)
from rim_eval.thinking import ArmAdoption, ManipulationCheck, check_manipulation
from rim_eval.types import MODES, FiniteModel, Mode, Name, PromptKind, SamplingProtocol

_ANCHOR: Final = "hexphi"
"""The paper's set: primary wherever it was run."""


class Figures(FiniteModel):
    """Both rates and their difference; None where a mode was not run, or where the judge has nothing to read."""

    think: ArmRate | None
    no_think: ArmRate | None
    difference: Difference | None
    only_mode: Mode | None = None
    """As in `SetCounts`: the other mode has no rate by construction, whatever was run."""

    @property
    def absent(self) -> str:
        """Text in place of a missing rate."""
        return NOTHING_TO_READ if self.only_mode else "not run"

    def rate(self, mode: Mode) -> ArmRate | None:
        """The rate in one mode."""
        return self.think if mode == "think" else self.no_think


class SetResult(FiniteModel):
    """The counts of one prompt set and kind, and the figures that follow from them."""

    dataset: str
    """Name of the prompt set, with the condition that it was asked under."""
    kind: PromptKind
    attack: Name | None = None
    """Attack that the prompts were wrapped in; None for bare prompts."""
    sampling: SamplingProtocol = "equal"
    """How both modes were decoded."""
    counts: SetCounts
    figures: Figures
    """Of the model: what its provider declined is left out."""
    system: Figures | None = None
    """Of the system as a whole, which did not comply where its provider declined; None where it never did."""
    mode_check: ManipulationCheck
    """Whether both arms ran in their modes."""
    thresholds: dict[Name, Figures] = Field(default={})
    """The figures with another line between events and the rest, as `SetCounts.thresholds`."""
    variance: VarianceParts | None = None
    """Where the uncertainty of the difference comes from; None with one epoch."""
    outcomes: dict[Mode, ArmOutcomes] = Field(default={})
    """What the samples of each mode did; of a mode that the judge cannot read nothing."""
    doses: CurveCounts | None = None
    """The counts of all doses, in a run of several."""
    curve: DoseCurve | None = None


def set_results(rows: Iterable[Observation], level: float = 0.95) -> dict[PromptKind, SetResult]:
    """The figures of a run, for each kind of prompts in it; needs no pandas.

    Args:
        rows: Observations of one model on one prompt set by one judge, each once, in any order.
        level: Confidence of all intervals, a fraction.
    """
    by_kind: dict[PromptKind, list[Observation]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    results = {}
    for kind, of_kind in by_kind.items():
        columns = columns_of_rows(of_kind)
        counts, doses = count_set(least_and_most(columns), breakdowns=False), count_doses(columns)
        results[kind] = SetResult(
            **{name: getattr(of_kind[0], name) for name in ("dataset", "attack", "sampling")},
            kind=kind,
            counts=counts,
            doses=doses,
            **derived(counts, level, doses),
        )
    return results


def derived(counts: SetCounts, level: float, doses: CurveCounts | None = None) -> dict[str, Any]:
    """Everything of a `SetResult` that follows from its counts alone, by field.

    Args:
        counts: Counts of the set.
        level: Confidence of all intervals, a fraction.
        doses: Counts of all its doses, in a run of several.
    """
    return {
        "figures": figures_of(counts, counts.cells, level),
        "system": figures_of(counts, counts.system, level) if counts.system else None,
        "mode_check": check_modes(counts),
        "thresholds": {
            line: figures_of(counts, cells, level) for line, cells in counts.thresholds.items()
        },
        "variance": _variance(counts),
        "outcomes": {
            mode: arm_outcomes(arm.taxonomy, level, sequential=counts.sequential)
            for mode, arm in counts.arms.items()
            if arm.taxonomy and counts.only_mode in (None, mode)
        },
        "curve": curve_of(doses, level),
    }


def _variance(counts: SetCounts) -> VarianceParts | None:
    if counts.only_mode is not None:
        return None
    split = tallied_variance_split(tally_of(counts.cells, *MODES))
    return None if split is None else VarianceParts.model_validate(split.to_dict())


def check_modes(counts: SetCounts) -> ManipulationCheck:
    """Whether both arms of a set ran in their modes, from its counts."""
    arms = {
        mode: ArmAdoption(returned=arm.returned, adopted=arm.adopted)
        for mode, arm in counts.arms.items()
    }
    return check_manipulation(
        counts.arm_kind, arms.get("think"), arms.get("no_think"), counts.trace_lengths
    )


def figures_of(counts: SetCounts, cells: Sequence[Cell], level: float = 0.95) -> Figures:
    """Every figure of a set, or of a category or a threshold of it.

    Args:
        counts: Counts of the set.
        cells: Those of its cells that are meant.
        level: Confidence of all intervals.
    """
    return figures(cells, level, counts.only_mode, sequential=counts.sequential)


def figures(
    cells: Sequence[Cell],
    level: float = 0.95,
    only_mode: Mode | None = None,
    *,
    sequential: bool = False,
) -> Figures:
    """Every figure of some prompts.

    Args:
        cells: Counts of prompts by outcome.
        level: Confidence of all intervals.
        only_mode: The one mode that can have a rate; None for both.
        sequential: Whether the run could stop early.
    """
    arm_summary = sequential_arm_summary if sequential else tallied_arm_summary
    rates: dict[Mode, ArmRate | None] = dict.fromkeys(MODES)
    for mode in MODES:
        if only_mode in (None, mode) and (prompts := tally_of(cells, mode)):
            rates[mode] = ArmRate.from_result(arm_summary(prompts, level).to_dict())
    difference = None
    if only_mode is None and (change := paired(cells, level, sequential=sequential)) is not None:
        fields = change.to_dict()
        difference = Difference.from_result(
            fields
            | {"value": fields["difference"], "n_unpaired": change.n_prompts - change.n_pairs}
        )
    return Figures(**rates, difference=difference, only_mode=only_mode)


def paired(
    cells: Sequence[Cell], level: float = 0.95, *, sequential: bool = False
) -> PairedDifference | None:
    """The paired difference as the statistics give it; None unless both modes were run.

    Args:
        cells: Counts of prompts by outcome.
        level: Confidence of the interval.
        sequential: Whether the run could stop early.
    """
    if not all(any(cell.outcome(mode).asked for cell in cells) for mode in MODES):
        return None
    prompts = tally_of(cells, *MODES)
    if sequential:
        think, no_think = MODES
        return sequential_difference(
            prompts, target_name=think, reference_name=no_think, level=level
        )
    return tallied_rim_score(prompts, level)


def primary_set(
    sets: Sequence[SetResult], kind: PromptKind, declared: str | None = None
) -> str | None:
    """Name of the primary set of one kind; None where there is none of the kind.

    Args:
        sets: Results of one model.
        kind: Kind of the prompts.
        declared: Name of the declared one; by default `hexphi`, else the set with most pairs, on bare prompts and
            with equal sampling where there is one.

    Raises:
        RimError: The declared set is not among them.
    """
    of_kind = [each for each in sets if each.kind == kind]
    changes = {each.dataset: each.figures.difference for each in of_kind}
    if declared is not None and declared not in changes:
        names = ", ".join(changes) or "none"
        raise RimError(f"{declared!r} is no {kind} set of this model; there are: {names}.")
    if declared is not None or not changes:
        return declared
    if _ANCHOR in changes:
        return _ANCHOR
    usual = [each for each in of_kind if each.attack is None and each.sampling == "equal"]
    pairs = {each.dataset: changes[each.dataset] for each in usual or of_kind}
    return max((change.n_pairs if change else 0, name) for name, change in pairs.items())[1]


def flag_of(
    sets: Sequence[SetResult],
    primary: str | None,
    primary_reasoning: str | None,
    level: float,
    *,
    judge_doubt: str | None = None,
) -> RimFlag | None:
    """Whether this is reasoning-induced misalignment; None where a mode or the harmful set was not run.

    Args:
        sets: Results of one model.
        primary: The harmful set whose RIM score counts.
        primary_reasoning: The reasoning set whose accuracy gain counts.
        level: Confidence of the intervals, a fraction.
        judge_doubt: Why the judge's verdicts on the primary set cannot be compared between the modes, if so.
    """
    by_name = {(each.dataset, each.kind): each for each in sets}
    rim = by_name.get((primary or "", "harmful"))
    gain = by_name.get((primary_reasoning or "", "reasoning"))
    if rim and (mode := rim.counts.only_mode):
        rate = rim.figures.rate(mode)
        of_mode = estimate(rate.value, rate.lower, rate.upper, share=True) if rate else "not known"
        sentence = f"{only_mode_sentence('harmful')} {KIND_WORDS['harmful'].rate} {MODE_WORDS[mode]}: {of_mode}."
        return RimFlag(flag="cannot_tell", sentence=sentence)
    score = _change(rim, level)
    if rim is None or score is None:
        return None
    accuracy = _change(gain, level)
    doubts = (
        f"{each.dataset}: {'; '.join(each.mode_check.reasons)}"
        for each in (rim, gain if accuracy else None)
        if each is not None and not each.mode_check.verified
    )
    return rim_flag(score, accuracy, next(doubts, None), judge_doubt=judge_doubt)


def _change(each: SetResult | None, level: float) -> PairedDifference | None:
    return paired(each.counts.cells, level, sequential=each.counts.sequential) if each else None


def adjusted_p(sets: Sequence[SetResult]) -> dict[str, float]:
    """Holm's p values of all RIM scores by data set; empty with fewer than two."""
    tested = {each.dataset: each.figures.difference for each in sets if each.kind == "harmful"}
    p_values = {
        name: math.nan if change.p_value is None else change.p_value
        for name, change in tested.items()
        if change is not None
    }
    return holm(p_values) if len(p_values) > 1 else {}
