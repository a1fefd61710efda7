"""Task arguments as one checked, frozen object: from the command line's YAML to the solver.

Inspect reads `-T name=value` as YAML and a comma as a list: `effort:low,high` comes as two words,
2024 as a number, and `off` as False. A text is made a text again, and what is none is refused.
"""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, SkipValidation, ValidationInfo

from rim_eval.decoding import Budgets, budgets
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import user_errors
from rim_eval.types import MODES, PATTERNS, FrozenModel, Mode, Pattern, PromptKind


def _read_text(value: Any, info: ValidationInfo) -> str | None:
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    name = info.field_name
    instead = " To judge later: -T judge=none." if name == "judge" else ""
    raise RimError(
        f"{name} must be text, got {value!r}. Leave `-T {name}=` out for the default, or give a text; on, off, yes, "
        f"no, true and false are read as YAML booleans.{instead}"
    )


def _read_path(value: Any, info: ValidationInfo) -> Path | None:
    text = _read_text(value, info)
    return None if text is None else Path(text).expanduser()


def choices(value: Any, allowed: tuple[Any, ...], every: str, message: str) -> tuple[Any, ...]:
    """All of the allowed words (`every`), one of them, or a list, in the order of `allowed`."""
    names = allowed if value == every else [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(name in allowed for name in names):
        return tuple(name for name in allowed if name in names)
    raise RimError(f"{message}.")


def _read_modes(value: Any) -> tuple[Mode, ...]:
    use = "use `-T modes=both`, `-T modes=think` or `-T modes=no_think`"
    return choices(value, MODES, "both", f"modes={value!r} is not known: {use}")


def _read_patterns(value: Any) -> tuple[Pattern, ...]:
    use = f"use all, or of {', '.join(PATTERNS)}"
    return choices(value, PATTERNS, "all", f"patterns={value!r} is not known: {use}")


Modes = Annotated[tuple[Mode, ...], BeforeValidator(_read_modes)]
Text = Annotated[str | None, BeforeValidator(_read_text)]
SwitchWords = Annotated[str, BeforeValidator(lambda value, info: _read_text(value, info) or "auto")]
LocalPath = Annotated[Path | None, BeforeValidator(_read_path)]
Tokens = Annotated[int | None, SkipValidation]
"""None for the default of the prompts' kind; `budgets` checks a number and says what is allowed."""

_BOTH: Any = "both"
_ALL: Any = "all"


class RunSettings(FrozenModel):
    """How a model is asked: which arms, with which switch and token budgets.

    A field with a description is an argument of the task. Reading an argument that is wrong raises a
    `RimError` with its name and value.
    """

    model_config = ConfigDict(validate_default=True)

    modes: Modes = Field(default=_BOTH, description="`both`, `think` or `no_think`.")
    answer_tokens: Tokens = Field(
        default=None, description="Token budget of an answer, the same in both modes."
    )
    thinking_tokens: Tokens = Field(
        default=None, description="Token budget of the trace, on top of it, in think mode."
    )
    switch: SwitchWords = Field(
        default="auto", description="`auto`, or the thinking switch in words."
    )
    chat_template: Text = Field(
        default=None, description="Path of a chat template to read the switch from."
    )
    served_as: Text = Field(
        default=None,
        description="Other names by which the server may call the model, separated by commas.",
    )

    def budgets(self, kind: PromptKind) -> Budgets:
        """Token budgets on prompts of one kind.

        Raises:
            RimError: A number is not a whole positive one.
        """
        return budgets(kind, self.answer_tokens, self.thinking_tokens)

    def solver_arguments(self, kind: PromptKind) -> dict[str, Any]:
        """Arguments of the registered solvers, which Inspect keeps in the log's plan."""
        switch = {"switch": self.switch, "chat_template": self.chat_template}
        return self.budgets(kind).model_dump() | switch | {"served_as": self.served_as}


class SetSettings(RunSettings):
    """Arguments of every task over a published set."""

    subset: Text = Field(default=None, description="Part of the prompt set, where it has parts.")
    data: LocalPath = Field(
        default=None, description="Folder with the set's files, instead of its publisher."
    )


class JudgedSettings(SetSettings):
    """Arguments of a task over a published set of harmful or benign prompts."""

    judge: Text = Field(
        default=None,
        description="Judge's name or file, or `none` to judge later; by default the set's own. `hexphi:both` or "
        "`hexphi:reasoning` shows it the trace too, or alone.",
    )


class ReasoningSettings(SetSettings):
    """Arguments of a task over problems with gold answers."""

    prompt_style: Any = Field(default="worked", description="`worked`, `direct` or `as_is`.")
    """Checked by `prompt_sets.user_message`."""


class PromptFileSettings(RunSettings):
    """Arguments of a task over the user's own prompts."""

    file: LocalPath = Field(
        default=None, description="CSV file with a header row, or JSONL file; required."
    )
    kind: Text = Field(default="harmful", description="`harmful`, `benign` or `reasoning`.")
    prompt_column: Text = Field(default="prompt", description="Column that holds the prompt.")
    id_column: Text = Field(
        default=None,
        description="Column that holds your own ids; else they are made from the content.",
    )
    context_column: Text = Field(
        default=None, description="Column that holds a text that belongs before the prompt."
    )
    pair_column: Text = Field(
        default=None,
        description="Column that holds the same value in the two prompts of a contrast pair.",
    )
    target_column: Text = Field(
        default=None, description="Column that holds the gold answer; with `kind=reasoning`."
    )
    category_column: Text = Field(
        default=None, description="Column that holds a category, if there is one."
    )
    judge: Text = Field(
        default=None,
        description="Judge's name or file, or `none` to judge later; by default by kind. `hexphi:both` or "
        "`hexphi:reasoning` shows it the trace too, or alone.",
    )
    prompt_style: Any = Field(
        default=None,
        description="`worked` (the default), `direct` or `as_is`; with `kind=reasoning`.",
    )
    """Checked by `prompt_sets.user_message`."""


class InjectionSettings(JudgedSettings):
    """Arguments of the injection task, which runs in one mode."""

    modes: Modes = ("think",)
    set: Text = Field(default="hexphi", description="Prompt set, harmful or benign.")
    patterns: Annotated[tuple[Pattern, ...], BeforeValidator(_read_patterns)] = Field(
        default=_ALL, description="`all`, a pattern, or a list."
    )
    statements: Text = Field(
        default=None, description="Path of a statements file; by default the shipped one."
    )


Settings = TypeVar("Settings", bound=RunSettings)


def takes(
    settings: type[Settings], **defaults: Any
) -> Callable[[Callable[[Settings], Any]], Callable[..., Any]]:
    """Give a task the fields of a settings class as its arguments, in its signature and docstring.

    Inspect reads the signature: it lists, passes and logs these arguments, and warns of others.

    Args:
        settings: The class; the task is called with an instance of it.
        **defaults: Defaults of this task in place of the class's own.
    """
    fields = {name: field for name, field in settings.model_fields.items() if field.description}
    signature = inspect.Signature(
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults.get(name, field.default),
                annotation=field.annotation,
            )
            for name, field in fields.items()
        ]
    )
    documented = "".join(f"\n    {name}: {field.description}" for name, field in fields.items())

    def decorate(task: Callable[[Settings], Any]) -> Callable[..., Any]:
        @functools.wraps(task)
        def read_and_build(**arguments: Any) -> Any:
            bound = signature.bind(**arguments)
            bound.apply_defaults()
            with user_errors():
                return task(settings(**bound.arguments))

        read_and_build.__signature__ = signature  # type: ignore[attr-defined]
        read_and_build.__doc__ = f"{inspect.getdoc(task)}\n\nArgs:{documented}"
        return read_and_build

    return decorate
