"""From counts to figures: rates, the paired difference and the check of the modes, with their n.

Everything that shows a figure takes it from here: Inspect's metrics and the demo from `set_results`, and
the card (behind comparison, release gate and leaderboard) from the same counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from rim_eval.observations import Observation
from rim_eval.results.counting import columns_of_rows, count_set
from rim_eval.results.counts import Cell, SetCounts, verdicts_of
from rim_eval.statistics import (
    Estimate,
    PairedDifference,
    Shown,
    arm_summary,
    rim_score,
    shown,
)
from rim_eval.thinking import ArmAdoption, ManipulationCheck, check_manipulation
from rim_eval.types import MODES, Mode, Name, PromptKind


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share = float | None
"""A figure; None when there is nothing to compute it from."""


class Rate(_Frozen):
    """The rate of the event in one mode, as fractions from 0 to 1."""

    value: Share
    lower: Share
    upper: Share
    level: float
    method: Name
    n_prompts: NonNegativeInt
    """Prompts asked."""
    n_prompts_scored: NonNegativeInt
    n_scored: NonNegativeInt
    n_unscored: NonNegativeInt
    bound_lower: Share
    """The rate if everything unscored had been no event."""
    bound_upper: Share
    """The rate if everything unscored had been the event."""

    @property
    def estimate(self) -> Estimate | None:
        """The rate with its interval, in percent; None where it has none."""
        return _estimate(self, 100)


class Difference(_Frozen):
    """Think minus no-think over pairs, in percentage points; above 0: the event is more frequent."""

    value: Share
    lower: Share
    upper: Share
    level: float
    interval_method: Name
    p_value: Share = Field(ge=0, le=1)
    """Two-sided, for no difference."""
    test_method: Name
    n_pairs: NonNegativeInt
    b: NonNegativeInt
    """Pairs whose rate is higher with thinking."""
    c: NonNegativeInt
    """Pairs whose rate is higher without."""
    n_unpaired: NonNegativeInt
    """Prompts that are no pair: not scored, or not asked, in one of the modes."""
    bound_lower: Share
    bound_upper: Share

    @property
    def shown(self) -> Shown:
        """What interval and test show together."""
        return shown(self.lower, self.upper, self.p_value, self.level)

    @property
    def estimate(self) -> Estimate | None:
        """The difference with its interval, in percentage points; None where it has none."""
        return _estimate(self, 1)


def _estimate(of: Rate | Difference, scale: float) -> Estimate | None:
    if of.value is None or of.lower is None or of.upper is None:
        return None
    return Estimate(scale * of.value, scale * of.lower, scale * of.upper)


class Figures(_Frozen):
    """Both rates and their difference; None where a mode was not run."""

    think: Rate | None
    no_think: Rate | None
    difference: Difference | None

    def rate(self, mode: Mode) -> Rate | None:
        """The rate in one mode."""
        return self.think if mode == "think" else self.no_think


class SetResult(_Frozen):
    """The counts of one prompt set and kind, and the figures that follow from them."""

    dataset: str
    kind: PromptKind
    counts: SetCounts
    figures: Figures
    mode_check: ManipulationCheck
    """Whether the modes were held."""


def set_results(rows: Iterable[Observation], level: float = 0.95) -> dict[PromptKind, SetResult]:
    """The figures of a run, for each kind of prompts in it; needs no pandas.

    Args:
        rows: Observations of one model on one prompt set by one judge, each once, in any order.
        level: Confidence of all intervals, a fraction.
    """
    by_kind: dict[PromptKind, list[Observation]] = defaultdict(list)
    for row in rows:
        by_kind[row.kind].append(row)
    counted = {
        kind: count_set(columns_of_rows(of_kind), breakdowns=False)
        for kind, of_kind in by_kind.items()
    }
    return {
        kind: SetResult(
            dataset=by_kind[kind][0].dataset,
            kind=kind,
            counts=counts,
            figures=figures(counts.cells, level),
            mode_check=check_modes(counts),
        )
        for kind, counts in counted.items()
    }


def check_modes(counts: SetCounts) -> ManipulationCheck:
    """Whether both arms of a set ran in their modes, from its counts."""
    arms = {
        mode: ArmAdoption(returned=arm.returned, adopted=arm.adopted)
        for mode, arm in counts.arms.items()
    }
    return check_manipulation(
        counts.arm_kind, arms.get("think"), arms.get("no_think"), counts.trace_lengths
    )


def figures(cells: Sequence[Cell], level: float = 0.95) -> Figures:
    """Every figure of a set, a category or a threshold.

    Args:
        cells: Counts of prompts by outcome.
        level: Confidence of all intervals.
    """
    rates: dict[Mode, Rate | None] = dict.fromkeys(MODES)
    for mode in MODES:
        if verdicts := verdicts_of(cells, mode):
            fields = arm_summary(verdicts, level).to_dict()
            rates[mode] = Rate.model_validate({name: fields[name] for name in Rate.model_fields})
    difference = None
    if (change := paired(cells, level)) is not None:
        fields = change.to_dict()
        fields |= {"value": fields["difference"], "n_unpaired": len(change.unpaired)}
        difference = Difference.model_validate(
            {name: fields[name] for name in Difference.model_fields}
        )
    return Figures(**rates, difference=difference)


def paired(cells: Sequence[Cell], level: float = 0.95) -> PairedDifference | None:
    """The paired difference as the statistics give it; None unless both modes were run."""
    think, no_think = verdicts_of(cells, "think"), verdicts_of(cells, "no_think")
    return rim_score(think, no_think, level) if think and no_think else None
