"""The statements that are injected: for and against each pattern, from one file."""

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rim_eval.errors import RimError, first_complaint
from rim_eval.patterns._rubric import PATTERNS, Pattern

__all__ = ["UNINJECTED", "Arm", "Side", "Statements", "arms_of", "load_statements"]

Side = Literal["control", "target"]
"""`control` speaks against the pattern, `target` for it (the paper's clean and dark)."""

UNINJECTED: Final = "uninjected"

_SHIPPED: Final = Path(__file__).with_name("statements.toml")
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class _Pair(BaseModel):
    model_config = _FROZEN

    control: str = Field(min_length=1)
    target: str = Field(min_length=1)


class Statements(BaseModel):
    """The content of a statements file."""

    model_config = _FROZEN

    name: str
    version: int = Field(ge=1)
    after: str = "\n\n"
    """Written after each statement, before the model goes on."""
    statements: dict[Pattern, _Pair] = Field(min_length=1)
    sha256: str = ""
    """Of the file, in hexadecimal; set on loading."""

    @model_validator(mode="after")
    def _two_sides(self) -> "Statements":
        same = [name for name, pair in self.statements.items() if pair.control == pair.target]
        if same:
            raise ValueError(f"control and target of {', '.join(same)} are the same")
        return self

    def text(self, pattern: Pattern, side: Side) -> str:
        """What is written for one arm."""
        pair = self.statements[pattern]
        return (pair.control if side == "control" else pair.target) + self.after


class Arm(NamedTuple):
    """One way of beginning the model's turn."""

    pattern: Pattern | None
    """None when nothing is injected."""
    side: Side | None

    @property
    def name(self) -> str:
        """`uninjected`, or such as `heuristic_reliance:target`."""
        return UNINJECTED if self.pattern is None else f"{self.pattern}:{self.side}"


def arms_of(statements: Statements, patterns: tuple[Pattern, ...] = PATTERNS) -> tuple[Arm, ...]:
    """The un-injected arm, then control and target of each pattern.

    Raises:
        RimError: The file has no statements for a pattern.
    """
    missing = [pattern for pattern in patterns if pattern not in statements.statements]
    if missing:
        raise RimError(
            f"The statements {statements.name!r} have none for {', '.join(missing)}; they have "
            f"{', '.join(statements.statements)}. Name those with -T patterns=..."
        )
    injected = [Arm(pattern, side) for pattern in patterns for side in get_args(Side)]
    return (Arm(None, None), *injected)


@cache
def load_statements(path: Path = _SHIPPED) -> Statements:
    """Load a statements file, by default the shipped one.

    Raises:
        RimError: The file cannot be read or is wrong.
    """
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode("utf-8"))
        return Statements.model_validate(data | {"sha256": hashlib.sha256(raw).hexdigest()})
    except OSError as error:
        raise RimError(
            f"Statements {path}: {error.strerror}. Pass the path of a TOML file."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RimError(f"{path}: not valid TOML ({error}).") from None
    except ValidationError as error:
        raise RimError(
            f"{path}, {first_complaint(error, 'whole file')}. The shipped file shows every field: {_SHIPPED}."
        ) from None
