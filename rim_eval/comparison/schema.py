"""What a comparison holds of each set: every model's own figures, and its differences from the named reference."""

from collections.abc import Iterable
from typing import Final, Literal

from pydantic import Field, NonNegativeInt

from rim_eval.card import Figures
from rim_eval.statistics import RandomEffects, Significance, significance
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

    @property
    def corrected(self) -> Significance:
        """What it shows among all comparisons of its set and quantity: Holm's p value has to agree with the interval."""
        if self.p_holm is not None and self.p_holm > 1 - self.level:
            return "includes_zero"
        return self.significance


class FamilyMean(PointsEstimate):
    """The mean change with thinking over the models of a family, on the prompts that all share.

    Its own interval and test hold for other prompts and these models. From cards there is no test, `n` counts the prompts of the
    model with the fewest, and the interval supposes that the models err alike in full, the worst case.
    """

    family: str
    models: tuple[str, ...]
    further_models: RandomEffects | None = None
    """What it says of further models of the family, and of the next one; None for checkpoints in order of training, and where
    a run could stop early."""


class FamilyOverSets(FiniteModel):
    """One answer for a family over several sets of a kind; each set has the same weight, and the model is the unit."""

    family: str
    kind: PromptKind
    models: tuple[str, ...]
    """Those that were scored on each of the sets; four or more."""
    datasets: tuple[str, ...]
    these_sets: RandomEffects
    """Further models, on further prompts of these sets."""
    further_sets: RandomEffects | None = None
    """Further models, on further sets too; None with fewer than four sets, or from cards."""


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

    def difference(self, quantity: Quantity) -> ModelDifference | None:
        """The difference from the reference in one quantity; None where there is none."""
        return next((each for each in self.against if each.quantity == quantity), None)


class SetComparison(FiniteModel):
    """All models on one set and kind."""

    dataset: str
    kind: PromptKind
    judge: str | None
    rows: tuple[ModelRow, ...]
    families: tuple[FamilyMean, ...] = ()

    def row(self, model: str) -> ModelRow | None:
        """The row of one model; None where the set was not run on it."""
        return next((row for row in self.rows if row.model == model), None)


def headline_set(sets: Iterable[SetComparison], primary: str | None) -> SetComparison | None:
    """The set that a comparison's finding is about: never chosen by its result.

    Args:
        sets: Harmful ones first.
        primary: Name of the reference's primary set.

    Returns:
        The primary set where another model has it too, else the first one where models are compared, else the first one.
    """
    ordered = sorted(sets, key=lambda each: (each.kind, each.dataset) != ("harmful", primary))
    compared = (each for each in ordered if any(row.against for row in each.rows))
    return next(compared, next(iter(ordered), None))
