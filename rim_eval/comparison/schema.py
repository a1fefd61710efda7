"""What a comparison holds: every model's own figures, and its differences from the named reference."""

from html import escape
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, NonNegativeInt

from rim_eval.card import Figures
from rim_eval.results.frame import figure_frame, figure_rows
from rim_eval.statistics import RandomEffects, Significance, significance
from rim_eval.types import ArmKind, FiniteModel, PromptKind

if TYPE_CHECKING:
    import pandas as pd

Quantity = Literal["no_think", "think", "change"]
"""What two models are compared in: the rate in either mode, and the change that thinking brings."""

QUANTITIES: Final[tuple[Quantity, ...]] = ("no_think", "think", "change")


def _one_decimal(value: float) -> str:
    return f"{value:.1f}".replace("-", "\N{MINUS SIGN}")


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
    families: tuple[FamilyOverSets, ...] = ()
    remarks: tuple[str, ...] = ()
    """What a reader must know: budgets that differ, sets that only some models were run on."""

    @property
    def frame(self) -> "pd.DataFrame":
        """One row a set, model and figure: rates in percent by mode, and the change with thinking in points."""
        return figure_frame(
            row
            for each in self.sets
            for model in each.rows
            for row in figure_rows(
                model.model, each.dataset, each.kind, model.figures, verified=model.verified
            )
        )

    def _repr_html_(self) -> str:
        """The figures of all models, for notebooks."""
        remarks = "".join(f"<li>{escape(remark)}</li>" for remark in self.remarks)
        figures: str = self.frame.drop(columns="p_value").to_html(index=False, float_format=_one_decimal, na_rep="")  # fmt: skip
        head = f"<p><b>{len(self.models)} models, reference {escape(self.reference)}</b></p>"
        return f"<div>{head}<ul>{remarks}</ul>{figures}</div>"
