"""What stands in a folder of the leaderboard: one file about the model, and its cards."""

from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from rim_eval.card import Card

__all__ = ["SLUG", "Entry", "ModelFile"]

SLUG: Final = r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*"
"""Names of folders and cards: lower case, no two dots, so that no path climbs."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9]")]


class ModelFile(BaseModel):
    """`model.json`: what a card cannot know of its model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    model: Name
    """The model's public name, `developer/name`; the cards' name ends with it."""
    kind: Literal["model", "organism"]
    """`organism`: a model with planted behaviour, no finding about real models."""
    developer: Name
    family: Name
    """`Qwen3`: models that differ in size belong to one family."""
    parameters: int | None = Field(default=None, gt=0, le=10**14)
    """All parameters; None where they are not published."""
    active_parameters: int | None = Field(default=None, gt=0, le=10**14)
    """Of a mixture of experts: those used for one token."""
    weights: Literal["open_weights", "closed_weights", "unknown"] = "unknown"
    deployment: Literal["self_deployed", "externally_managed", "unknown"] = "unknown"
    """Who ran the model for these cards."""
    evaluator: Literal["first_party", "third_party", "collaborative", "other"] = "other"
    """Who measured, seen from the model's developer."""

    @model_validator(mode="after")
    def _active_is_part(self) -> Self:
        if self.active_parameters and self.active_parameters > (self.parameters or 0):
            raise ValueError("more parameters are active than there are")
        return self


class Entry(NamedTuple):
    """One card of one model, checked."""

    folder: str
    name: str
    """File name of the card without its ending; folder and name together are the entry's id."""
    model: ModelFile
    card: Card

    @property
    def id(self) -> str:
        """Unique over the leaderboard; safe as a file name."""
        return f"{self.folder}--{self.name}"
