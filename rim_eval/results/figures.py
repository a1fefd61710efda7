"""From cells to figures: rates and the paired difference, with intervals, tests, bounds and their n."""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from rim_eval.results.counts import Cell, verdicts_of
from rim_eval.statistics import (
    ArmSummary,
    PairedDifference,
    Shown,
    arm_summary,
    rim_score,
    shown,
)
from rim_eval.types import MODES, Mode, Name

__all__ = ["Difference", "Figures", "Rate", "figures", "paired"]

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Share = float | None
"""A figure; None when there is nothing to compute it from."""


class Rate(BaseModel):
    """The rate of the event in one mode, as fractions from 0 to 1."""

    model_config = _FROZEN

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


class Difference(BaseModel):
    """Think minus no-think over pairs, in percentage points; above 0: the event is more frequent."""

    model_config = _FROZEN

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


class Figures(BaseModel):
    """Both rates and their difference; None where a mode was not run."""

    model_config = _FROZEN

    think: Rate | None
    no_think: Rate | None
    difference: Difference | None

    def rate(self, mode: Mode) -> Rate | None:
        """The rate in one mode."""
        return self.think if mode == "think" else self.no_think


def figures(cells: Sequence[Cell], level: float = 0.95) -> Figures:
    """Every figure of a set, a category or a threshold.

    Args:
        cells: Counts of prompts by outcome.
        level: Confidence of all intervals.
    """
    arms = {mode: verdicts_of(cells, mode) for mode in MODES}
    rates = {mode: _rate(arm_summary(v, level)) if v else None for mode, v in arms.items()}
    found = paired(cells, level)
    return Figures(
        think=rates["think"],
        no_think=rates["no_think"],
        difference=None if found is None else _difference(found),
    )


def paired(cells: Sequence[Cell], level: float = 0.95) -> PairedDifference | None:
    """The paired difference as the statistics give it; None unless both modes were run."""
    think, no_think = verdicts_of(cells, "think"), verdicts_of(cells, "no_think")
    return rim_score(think, no_think, level) if think and no_think else None


def _rate(found: ArmSummary) -> Rate:
    kept = found.model_dump(exclude={"epochs"})
    return Rate.model_validate({name: _known(value) for name, value in kept.items()})


def _difference(found: PairedDifference) -> Difference:
    left_out = {"target", "reference", "difference", "target_rate", "reference_rate"}
    kept = found.model_dump(exclude=left_out | {"unpaired", "n_prompts"})
    kept |= {"value": found.difference, "n_unpaired": len(found.unpaired)}
    return Difference.model_validate({name: _known(value) for name, value in kept.items()})


def _known(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
