"""What a series is, and what its report holds."""

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from rim_eval.comparison import Comparison
from rim_eval.comparison.schema import PointsEstimate, Quantity
from rim_eval.suite.jobs import Label
from rim_eval.types import FiniteModel, FrozenModel, Name, PromptKind


class SeriesModel(FrozenModel):
    """One model of a series."""

    label: Label
    model: Name
    """As Inspect takes it: `hf/FOLDER`, `vllm/BASE:ADAPTER`."""


class SeriesSettings(FrozenModel):
    """What the logs of a series follow from: written before the first model is asked, and never changed."""

    schema_version: Literal[1] = 1
    models: tuple[SeriesModel, ...] = Field(min_length=1)
    """In the order of training; the first one is the reference."""
    tasks: tuple[Name, ...] = Field(min_length=1)
    task_args: dict[str, Any] = Field(default={})
    model_args: dict[str, Any] = Field(default={})
    model_roles: dict[str, Any] = Field(default={})
    """Name of the role to a model, a list of models, or a model with its settings."""
    model_base_url: str | None = None
    limit: PositiveInt | None = None
    epochs: PositiveInt | None = None

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for name in ("label", "model"):
            values = [getattr(each, name) for each in self.models]
            if repeated := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"two models have the {name} {min(repeated)}")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError(f"a task is named twice in {', '.join(self.tasks)}")
        return self

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in the order of training."""
        return tuple(each.label for each in self.models)


class SeriesTrend(PointsEstimate):
    """How a figure changes along the series, in percentage points from its first model to its last.

    Above 0: the figure rises. The prompts are the blocks: each prompt that was scored in all models is compared
    with itself. `n` counts those prompts.
    """

    dataset: str
    kind: PromptKind
    quantity: Quantity
    method: str
    n_left_out: NonNegativeInt
    """Prompts of the series that were not scored in every model."""


class SeriesReport(FiniteModel):
    """A base model and its checkpoints: each against the base, and the trend over all of them."""

    schema_version: Literal[1] = 1
    rim_eval: str
    """Version of rim_eval."""
    comparison: Comparison
    """Every model's figures and its differences from the reference, paired by prompt."""
    trends: tuple[SeriesTrend, ...]
    """None with fewer than three models: the trend over two is their difference."""
    steps: tuple[float, ...] | None = None
    """Where each model of the comparison stands on the line of the trend; None for equal steps."""
    left_out: tuple[Label, ...] = ()
    """Models of the series whose logs are not complete; no figure holds them."""

    def trend(self, dataset: str, kind: PromptKind, quantity: Quantity) -> SeriesTrend | None:
        """The trend of one figure; None where there is none."""
        key = (dataset, kind, quantity)
        return next((t for t in self.trends if (t.dataset, t.kind, t.quantity) == key), None)
