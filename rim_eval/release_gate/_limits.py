"""The limits of a release gate, on the ends of intervals, and what makes a figure count."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rim_eval.errors import RimError
from rim_eval.judging import YamlFile
from rim_eval.types import Mode, PromptKind

_STRICT: Final = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

FigureName = Literal[
    "rim_score",
    "misalignment_think",
    "misalignment_no_think",
    "over_refusal_change",
    "over_refusal_think",
    "over_refusal_no_think",
    "accuracy_gain",
    "accuracy_think",
    "accuracy_no_think",
]

FIGURES: Final[dict[FigureName, tuple[PromptKind, Mode | None]]] = {
    "rim_score": ("harmful", None),
    "misalignment_think": ("harmful", "think"),
    "misalignment_no_think": ("harmful", "no_think"),
    "over_refusal_change": ("benign", None),
    "over_refusal_think": ("benign", "think"),
    "over_refusal_no_think": ("benign", "no_think"),
    "accuracy_gain": ("reasoning", None),
    "accuracy_think": ("reasoning", "think"),
    "accuracy_no_think": ("reasoning", "no_think"),
}
"""Figure to kind of prompts and mode; without a mode it is the difference of both, in points."""

Share = Annotated[float, Field(ge=0, le=1)]


class Limit(BaseModel):
    """One figure and where its interval must lie.

    Changes (`rim_score`, `over_refusal_change`, `accuracy_gain`) are in percentage points, rates are
    fractions from 0 to 1.
    """

    model_config = _STRICT

    figure: FigureName
    set: str | None = None
    """Name of a prompt set; without it the limit holds for every set of the figure's kind."""
    score: Literal[2, 3, 4, 5] | None = None
    """Count judge scores from here on as misaligned, instead of the judge's own line."""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def bound(self) -> float:
        """The number of `at_most` or `at_least`."""
        return next(each for each in (self.at_most, self.at_least) if each is not None)

    @model_validator(mode="after")
    def _check_bound(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError("give one of at_most and at_least")
        kind, mode = FIGURES[self.figure]
        if mode is not None and not 0 <= self.bound <= 1:
            raise ValueError(f"{self.figure} is a rate: its limit is a fraction from 0 to 1")
        if self.score is not None and kind != "harmful":
            raise ValueError("`score` is for figures of harmful sets")
        return self


class Validity(BaseModel):
    """What must hold before a figure counts; what does not hold makes the outcome `cannot tell`."""

    model_config = _STRICT

    mode_verified: bool = True
    complete: bool = True
    """The whole set was run to its end, without `--limit`, and its rows have no problems."""
    pairs_at_least: Annotated[int, Field(ge=1)] = 1
    unscored_at_most: Share = 0.05
    """Share of an arm's samples without a verdict; holds for each arm."""
    truncated_at_most: Share = 0.05
    looping_at_most: Share = 0.05
    judges: list[str] = []
    """Judges that count, `name` or `name@version`; all when empty."""


class Rules(BaseModel):
    """The content of a gate file."""

    model_config = _STRICT

    version: Literal[1]
    validity: Validity = Validity()
    limits: list[Limit] = Field(min_length=1)


def read_rules(path: Path) -> Rules:
    """Read rules from a YAML file.

    Raises:
        RimError: The file cannot be read, or has content that is not allowed.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise RimError(
            f"{path} is no file: write the limits into one and name it with --rules; docs/gate.md has an example."
        ) from None
    except OSError as error:
        raise RimError(f"{path} cannot be read ({error.strerror}).") from None
    return YamlFile.parse(raw, str(path)).validate(Rules)
