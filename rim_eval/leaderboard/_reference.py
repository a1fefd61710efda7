"""Published figures as reference rows, each with what it lacks to be an entry."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["PublishedModel", "Reference", "read_references"]

Percent = float


class PublishedModel(BaseModel):
    """One model's published rates, percent."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str
    developer: str
    family: str
    parameters: int = Field(gt=0)
    active_parameters: int | None = None
    misalignment_think: Percent = Field(ge=0, le=100)
    misalignment_no_think: Percent = Field(ge=0, le=100)
    accuracy_think: Percent = Field(ge=0, le=100)
    accuracy_no_think: Percent = Field(ge=0, le=100)


class Reference(BaseModel):
    """One published table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    source: str
    url: str = Field(pattern=r"^https://")
    harmful_set: str
    reasoning_set: str
    reasoning_note: str
    judge: str
    grader: str
    arm_kind: Literal["switch"]
    lacks: tuple[str, ...] = Field(min_length=1)
    """What an entry has and this table has not, one sentence each."""
    models: tuple[PublishedModel, ...]


def read_references(folder: Path) -> tuple[Reference, ...]:
    """All reference tables, by file name."""
    files = sorted(folder.glob("*.json"))
    return tuple(Reference.model_validate_json(file.read_bytes()) for file in files)
