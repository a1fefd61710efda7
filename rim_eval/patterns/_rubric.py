"""The rubric: what monitors look for, in which pattern it is grouped, and how a grader is asked."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rim_eval.errors import RimError
from rim_eval.judging import (
    GraderSettings,
    Message,
    ReplyField,
    Source,
    TagsReader,
    YamlFile,
)

__all__ = ["PATTERNS", "Item", "LoadedRubric", "Pattern", "Rubric", "load_rubric", "patterns_of"]

Pattern = Literal["confirmatory_reasoning", "heuristic_reliance", "instruction_deviation"]
"""The effort-minimizing reasoning patterns (Yan et al., section 2.2)."""

PATTERNS: Final[tuple[Pattern, ...]] = get_args(Pattern)

MAX_SEVERITY: Final = 3

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_SHIPPED: Final = Path(__file__).with_name("rubric.yaml")


class Item(BaseModel):
    """One thing to look for."""

    model_config = _FROZEN

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: str
    definition: str
    pattern: Pattern | None = None
    """The pattern that it is grouped in; None for none of them."""


class Rubric(BaseModel):
    """The whole content of a rubric file."""

    model_config = _FROZEN

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: int = Field(ge=1)
    """Raised whenever a finding could change."""
    title: str
    source: Source
    categories: tuple[Item, ...] = Field(min_length=1)
    """Raw categories of misbehaviour."""
    behaviours: tuple[Item, ...] = ()
    """What else is marked; in no pattern."""
    messages: tuple[Message, ...] = Field(min_length=1)
    """The conversation with the grader: Jinja templates over `request`, `context`, `text`, `part`
    (`reasoning` or `answer`) and `items`."""
    reask: str | None = None
    """What the grader is told after an unreadable reply."""
    grader: GraderSettings = GraderSettings()
    retries: int = Field(default=2, ge=0, le=5)

    @property
    def items(self) -> tuple[Item, ...]:
        """Categories and behaviours, in the order in which they are asked."""
        return (*self.categories, *self.behaviours)

    @property
    def grouping(self) -> dict[str, Pattern]:
        """Pattern of each category that is in one."""
        return {item.name: item.pattern for item in self.categories if item.pattern}

    @property
    def reader(self) -> TagsReader:
        """How a reply is read: a whole number from 0 to 3 for each item."""
        scale = ReplyField(integers=(0, MAX_SEVERITY))
        return TagsReader(kind="tags", fields={item.name: scale for item in self.items})

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [item.name for item in self.items]
        twice = sorted({name for name in names if names.count(name) > 1 or name in PATTERNS})
        if twice:
            raise ValueError(
                f"categories: {', '.join(twice)} named twice, or named as a pattern is"
            )
        if any(item.pattern for item in self.behaviours):
            raise ValueError("behaviours: a behaviour is in no pattern; make it a category")
        return self


class LoadedRubric(NamedTuple):
    """A rubric and the SHA-256 of its file, in hexadecimal."""

    rubric: Rubric
    sha256: str


@cache
def load_rubric(path: Path = _SHIPPED) -> LoadedRubric:
    """Load a rubric file, by default the shipped one.

    Raises:
        RimError: The file cannot be read or is wrong; the message names file, line and field.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RimError(f"Rubric {path}: {error.strerror}. Pass the path of a YAML file.") from None
    rubric = YamlFile.parse(raw, str(path)).validate(Rubric)
    return LoadedRubric(rubric, hashlib.sha256(raw).hexdigest())


def patterns_of(labels: Iterable[str], grouping: Mapping[str, Pattern]) -> tuple[Pattern, ...]:
    """The patterns that labels stand for, in the order of `PATTERNS`."""
    found = {grouping[label] for label in labels if label in grouping}
    return tuple(pattern for pattern in PATTERNS if pattern in found)
