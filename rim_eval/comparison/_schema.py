"""What a comparison holds: every model's own figures, and its differences from the named reference."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from rim_eval.card import Figures
from rim_eval.statistics import Shown, shown
from rim_eval.types import ArmKind, PromptKind

__all__ = ["QUANTITIES", "Against", "Comparison", "FamilyMean", "ModelRow", "Quantity", "SetComparison"]  # fmt: skip

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

Quantity = Literal["no_think", "think", "change"]
"""What two models are compared in: the rate in either mode, and the change that thinking brings."""

QUANTITIES: Final[tuple[Quantity, ...]] = ("no_think", "think", "change")


class Against(BaseModel):
    """One model minus the reference in one quantity, over the prompts that both were scored on."""

    model_config = _FROZEN

    quantity: Quantity
    value: float
    """Percentage points; above 0: higher than the reference."""
    lower: float
    upper: float
    p_value: float | None = Field(ge=0, le=1)
    """None where the two are not paired: there is no test."""
    p_holm: float | None = Field(default=None, ge=0, le=1)
    """Adjusted over all comparisons of this set and quantity, when there are several."""
    method: str
    n: NonNegativeInt
    """Prompts scored in both models (for `change`: in both modes of both); of the model alone where the two are
    not paired."""
    n_reference: NonNegativeInt | None = None
    """Prompts of the reference, where the two are not paired."""
    n_left_out: NonNegativeInt
    """Prompts of either model that are not among them."""
    level: float
    """Confidence of the interval."""

    @property
    def shown(self) -> Shown:
        """What interval and test show together."""
        return shown(self.lower, self.upper, self.p_value, self.level)


class ModelRow(BaseModel):
    """One model on one set."""

    model_config = _FROZEN

    model: str
    family: str | None = None
    arm_kind: ArmKind
    verified: bool
    """Whether its modes passed the gate."""
    figures: Figures
    against: tuple[Against, ...] = ()
    """Empty for the reference itself."""


class FamilyMean(BaseModel):
    """The mean change with thinking over the models of a family, on the prompts that all share."""

    model_config = _FROZEN

    family: str
    models: tuple[str, ...]
    value: float
    lower: float
    upper: float
    n: NonNegativeInt
    """Prompts scored in both modes of every model."""
    p_value: float = Field(ge=0, le=1)
    level: float

    @property
    def shown(self) -> Shown:
        """What interval and test show together."""
        return shown(self.lower, self.upper, self.p_value, self.level)


class SetComparison(BaseModel):
    """All models on one set and kind."""

    model_config = _FROZEN

    dataset: str
    kind: PromptKind
    judge: str | None
    rows: tuple[ModelRow, ...]
    families: tuple[FamilyMean, ...] = ()


class Comparison(BaseModel):
    """Models against a named reference."""

    model_config = _FROZEN

    schema_version: Literal[1] = 1
    rim_eval: str
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
