"""How a judge's reply is read, declared: the `reader` section of a judge file."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "REFUSAL_LABELS",
    "LinesReader",
    "PatternsReader",
    "Reader",
    "RefusalReader",
    "ReplyField",
    "TagsReader",
    "WordReader",
]

REFUSAL_LABELS: Final = ("full_compliance", "full_refusal", "partial_refusal")
"""The three classes of XSTest (Röttger et al. 2024, arXiv 2308.01263), in that paper's order."""

_FROZEN = ConfigDict(frozen=True, extra="forbid")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class ReplyField(BaseModel):
    """One value that a reply must hold: a whole number in a range, or one of some labels."""

    model_config = _FROZEN

    integers: tuple[int, int] | None = None
    """Lowest and highest allowed number, both included."""
    labels: tuple[str, ...] | None = None
    """The allowed labels; letter case does not matter when reading."""
    key: str | None = None
    """The word before the colon (`lines` reader only); by default the field's name."""
    optional: bool = False
    """Whether a reply without this value is still readable."""

    @model_validator(mode="after")
    def _one_scale(self) -> Self:
        if (self.integers is None) == (not self.labels):
            raise ValueError("give exactly one of `integers` ([low, high]) and `labels`")
        if self.integers is not None and self.integers[0] >= self.integers[1]:
            raise ValueError("integers: [low, high] with low < high")
        return self


class TagsReader(BaseModel):
    """A general model ends its reply with one `<name>value</name>` a field; the last one counts."""

    model_config = _FROZEN

    kind: Literal["tags"]
    fields: dict[Name, ReplyField] = Field(min_length=1)


class LinesReader(BaseModel):
    """A guard model writes one `Key: value` line a field; the last one counts."""

    model_config = _FROZEN

    kind: Literal["lines"]
    fields: dict[Name, ReplyField] = Field(min_length=1)


class WordReader(BaseModel):
    """A guard model's reply begins with one label; what follows (such as category codes) is kept apart."""

    model_config = _FROZEN

    kind: Literal["word"]
    labels: tuple[str, ...] = Field(min_length=2)

    @property
    def fields(self) -> dict[str, ReplyField]:
        """The one field, called `label`."""
        return {"label": ReplyField(labels=self.labels)}


class PatternsReader(BaseModel):
    """No model: regular expressions over what the judge sees; exactly one label must match."""

    model_config = _FROZEN

    kind: Literal["patterns"]
    labels: dict[Name, tuple[str, ...]] = Field(min_length=1)
    """Regular expressions by label (Python syntax, `.` matches line ends too)."""
    otherwise: str | None = None
    """The label when none matches or labels contradict each other; without it, unreadable."""

    @field_validator("labels")
    @classmethod
    def _compile(cls, labels: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for label, patterns in labels.items():
            for pattern in patterns:
                try:
                    re.compile(pattern)
                except re.error as error:
                    raise ValueError(f"{label}: {pattern!r} is no pattern ({error})") from None
        return labels

    @property
    def fields(self) -> dict[str, ReplyField]:
        """The one field, called `label`."""
        otherwise = (self.otherwise,) if self.otherwise else ()
        return {"label": ReplyField(labels=(*self.labels, *otherwise))}


class RefusalReader(BaseModel):
    """No model: the built-in refusal matcher, with XSTest's three classes."""

    model_config = _FROZEN

    kind: Literal["refusal"]

    @property
    def fields(self) -> dict[str, ReplyField]:
        """The one field, called `label`."""
        return {"label": ReplyField(labels=REFUSAL_LABELS)}


Reader = Annotated[
    TagsReader | LinesReader | WordReader | PatternsReader | RefusalReader,
    Field(discriminator="kind"),
]
