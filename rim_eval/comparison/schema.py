"""What a comparison holds: every model's own figures, and its differences from the named reference."""

from typing import Final, Literal

from pydantic import Field, NonNegativeInt

from rim_eval.card import Figures
from rim_eval.statistics import Significance, significance
from rim_eval.types import ArmKind, FiniteModel, PromptKind

Quantity = Literal["no_think", "think", "change"]
"""What two models are compared in: the rate in either mode, and the change that thinking brings."""

QUANTITIES: Final[tuple[Quantity, ...]] = ("no_think", "think", "change")


class PointsEstimate(FiniteModel):
    """A figure in percentage points with its interval and test."""

    value: float
    lower: float
    upper: float
    p_value: float | None = Field(ge=0, le=1)
    """None where two models are not paired: there is no test."""
    n: NonNegativeInt
    """Prompts that the figure is over."""
    level: float
    """Confidence of the interval."""

    @property
    def significance(self) -> Significance:
        """What the interval shows."""
        return significance(self.lower, self.upper)


class ModelDifference(PointsEstimate):
    """One model minus the reference in one quantity; above 0: higher than the reference.

    Paired models are compared over the prompts that both were scored on (for `change`, in both modes of
    both). Where they are not paired, `n` counts the prompts of the model alone.
    """

    quantity: Quantity
    p_holm: float | None = Field(default=None, ge=0, le=1)
    """Adjusted over all comparisons of this set and quantity, when there are several."""
    method: str
    n_reference: NonNegativeInt | None = None
    """Prompts of the reference, where the two are not paired."""
    n_left_out: NonNegativeInt
    """Prompts of either model that are not among the compared ones."""


class FamilyMean(PointsEstimate):
    """The mean change with thinking over the models of a family, on the prompts that all share."""

    family: str
    models: tuple[str, ...]


class ModelRow(FiniteModel):
    """One model on one set."""

    model: str
    family: str | None = None
    arm_kind: ArmKind
    verified: bool
    """Whether its modes passed the mode check."""
    figures: Figures
    against: tuple[ModelDifference, ...] = ()
    """Differences from the reference; empty for the reference itself."""


class SetComparison(FiniteModel):
    """All models on one set and kind."""

    dataset: str
    kind: PromptKind
    judge: str | None
    rows: tuple[ModelRow, ...]
    families: tuple[FamilyMean, ...] = ()


class Comparison(FiniteModel):
    """Models against a named reference."""

    schema_version: Literal[1] = 1
    rim_eval: str
    """Version of rim_eval."""
    reference: str
    """Model that every difference between models is from; the mode's reference is `no_think`."""
    level: float
    series: bool = False
    """Whether the models are checkpoints in order of training."""
    paired: bool = True
    """Whether differences between models are paired prompt by prompt; those between modes always are."""
    models: tuple[str, ...]
    sets: tuple[SetComparison, ...]
    remarks: tuple[str, ...] = ()
    """What a reader must know: budgets that differ, sets that only some models were run on."""
