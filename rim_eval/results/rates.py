"""What a figure is made of: rates and differences with their intervals, counts and bounds."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import Field, NonNegativeInt

from rim_eval.statistics import Estimate, Significance, significance
from rim_eval.types import FiniteModel, Name

Share = float | None
"""A figure; None when there is nothing to compute it from."""


class Interval(FiniteModel):
    """A figure with its interval; what a card keeps of a result of the statistics."""

    _points: ClassVar[float] = 1
    """What one unit is in percent or percentage points."""

    value: Share
    lower: Share
    upper: Share
    level: float

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> Self:
        """Take over the fields of a statistical result."""
        return cls.model_validate({name: result[name] for name in cls.model_fields})

    @property
    def estimate(self) -> Estimate | None:
        """The figure with its interval, in percent or percentage points; None where it has none."""
        if self.value is None or self.lower is None or self.upper is None:
            return None
        return Estimate(*(self._points * end for end in (self.value, self.lower, self.upper)))


class ArmRate(Interval):
    """The rate of the event in one mode, as fractions from 0 to 1."""

    _points: ClassVar[float] = 100

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


class Difference(Interval):
    """Think minus no-think over pairs, in percentage points; above 0: the event is more frequent."""

    interval_method: Name
    p_value: Share = Field(ge=0, le=1)
    """Two-sided, for no difference."""
    test_method: Name
    permutation_p_value: Share = Field(default=None, ge=0, le=1)
    """Of the permutation test beside it, which decides nothing."""
    permutation_method: Name = "none"
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
    def significance(self) -> Significance:
        """What the interval shows."""
        return significance(self.lower, self.upper)


class VarianceParts(FiniteModel):
    """Where the uncertainty of a paired difference comes from, in percentage points (`statistics.VarianceSplit`)."""

    n: NonNegativeInt
    epochs: float = Field(gt=0)
    prompt_variance: float = Field(ge=0)
    """Between prompts, squared points."""
    sampling_variance: float = Field(ge=0)
    """Of one epoch in each mode, squared points."""
    sampling_share: Share = Field(ge=0, le=1)
    """Share of the standard error's square that is due to sampling; None where nothing varies."""
    standard_error: float = Field(ge=0)
    standard_error_twice_prompts: float = Field(ge=0)
    standard_error_twice_epochs: float = Field(ge=0)
