"""Task arguments as one checked, frozen object: from the command line's YAML to the solver.

Inspect reads `-T name=value` as YAML and a comma as a list: `effort:low,high` comes as two words,
2024 as a number, and `off` as False. A text is made a text again, and what is none is refused.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, SkipValidation, ValidationInfo

from rim_eval.decoding import Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.types import MODES, Mode, PromptKind

__all__ = [
    "InjectionSettings",
    "JudgedSettings",
    "PromptFileSettings",
    "ReasoningSettings",
    "RunSettings",
]


def _read_text(given: Any, info: ValidationInfo) -> str | None:
    if given is None or (isinstance(given, str) and given.strip()):
        return given
    if isinstance(given, list) and all(isinstance(part, str) for part in given):
        return ",".join(given)
    if isinstance(given, int | float) and not isinstance(given, bool):
        return str(given)
    name = info.field_name
    instead = " To judge later: -T judge=none." if name == "judge" else ""
    raise RimError(
        f"{name} must be text, got {given!r}. Leave `-T {name}=` out for the default, or give a text; on, off, yes, "
        f"no, true and false are read as YAML booleans.{instead}"
    )


def _read_switch(given: Any, info: ValidationInfo) -> str:
    return _read_text(given, info) or "auto"


def _read_path(given: Any, info: ValidationInfo) -> Path | None:
    text = _read_text(given, info)
    return None if text is None else Path(text).expanduser()


def _read_modes(given: Any) -> tuple[Mode, ...]:
    """`both`, one of the modes, or a list."""
    if given == "both":
        return MODES
    names = [given] if isinstance(given, str) else given
    if isinstance(names, list) and names and all(mode in MODES for mode in names):
        return tuple(mode for mode in MODES if mode in names)
    raise RimError(
        f"modes={given!r} is not known: use `-T modes=both`, `-T modes=think` or `-T modes=no_think`."
    )


def _read_patterns(given: Any) -> tuple[str, ...]:
    """`all`, one of the patterns, or a list."""
    from rim_eval.patterns import PATTERNS

    if given == "all":
        return PATTERNS
    names = [given] if isinstance(given, str) else given
    if isinstance(names, list) and names and all(name in PATTERNS for name in names):
        return tuple(pattern for pattern in PATTERNS if pattern in names)
    raise RimError(f"patterns={given!r} is not known: use all, or of {', '.join(PATTERNS)}.")


Text = Annotated[str | None, BeforeValidator(_read_text)]
LocalPath = Annotated[Path | None, BeforeValidator(_read_path)]
Tokens = Annotated[int | None, SkipValidation]
"""None for the default of the prompts' kind; `budgets` checks a number and says what is allowed."""


class RunSettings(BaseModel):
    """How a model is asked: which arms, with which switch and token budgets.

    Reading an argument that is wrong raises a `RimError` with its name and value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modes: Annotated[tuple[Mode, ...], BeforeValidator(_read_modes)] = MODES
    answer_tokens: Tokens = None
    thinking_tokens: Tokens = None
    switch: Annotated[str, BeforeValidator(_read_switch)] = "auto"
    chat_template: Text = None

    def budgets(self, kind: PromptKind) -> Budgets:
        """Token budgets on prompts of one kind.

        Raises:
            RimError: A number is not a whole positive one.
        """
        return budgets(kind, self.answer_tokens, self.thinking_tokens)

    def solver_arguments(self, kind: PromptKind) -> dict[str, Any]:
        """Arguments of the registered solvers, which Inspect keeps in the log's plan."""
        switch = {"switch": self.switch, "chat_template": self.chat_template}
        return self.budgets(kind).model_dump() | switch


class JudgedSettings(RunSettings):
    """Arguments of a task over a published set of harmful or benign prompts."""

    judge: Text = None
    """A judge's name or file, `none` to judge later, or None for the set's own."""
    subset: Text = None
    data: LocalPath = None


class ReasoningSettings(RunSettings):
    """Arguments of a task over problems with gold answers."""

    prompt_style: Any
    """Checked by `prompt_sets.templates`."""
    subset: Text = None
    data: LocalPath = None


class PromptFileSettings(RunSettings):
    """Arguments of a task over the user's own prompts."""

    judge: Text = None
    file: LocalPath
    kind: Text
    prompt_column: Text
    category_column: Text = None


class InjectionSettings(JudgedSettings):
    """Arguments of the injection task."""

    set: Text
    patterns: Annotated[tuple[str, ...], BeforeValidator(_read_patterns)]
    statements: Text = None
