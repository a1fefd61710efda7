"""Task arguments as one checked, frozen object: from the command line's YAML to the solver.

Inspect reads `-T name=value` as YAML and a comma as a list: `effort:low,high` comes as two words,
2024 as a number, and `off` as False. A text is made a text again, and what is none is refused.
"""

import functools
import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SkipValidation,
    ValidationError,
    ValidationInfo,
)

from rim_eval.decoding import Budgets, budgets
from rim_eval.errors import RimError, first_complaint
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


_LOGGER: Final = logging.getLogger(__name__)

Requested = Literal["equal", "recommended"]


def _read_sampling(value: Any) -> Requested:
    use = "use `-T sampling=equal` or `-T sampling=recommended`"
    chosen = choices(value, get_args(Requested), "", f"sampling={value!r} is not known: {use}")
    return cast(Requested, chosen[0])


def _read_own_sampling(value: Any, info: ValidationInfo) -> dict[str, Any] | None:
    from rim_eval.thinking import SamplingValues

    if value is None:
        return None
    try:
        return SamplingValues.model_validate(value).values
    except (TypeError, ValidationError) as error:
        complaint = (
            first_complaint(error, str(value)) if isinstance(error, ValidationError) else value
        )
        allowed = ", ".join(SamplingValues.model_fields)
        raise RimError(
            f"The sampling of {info.field_name} is wrong ({complaint}). Give some of {allowed}, such as "
            f"-T {info.field_name}.temperature=0.6."
        ) from None


def _read_doses(value: Any, info: ValidationInfo) -> str | None:
    from rim_eval.thinking import read_doses

    if isinstance(value, list):
        value = ",".join(map(str, value))
    text = _read_text(value, info)
    return None if text is None else ",".join(dose.name for dose in read_doses(text))


class Stop(FrozenModel):
    """When a run may end before its last prompt."""

    rules: Path | None = None
    """Gate file whose limits are to be decided; None for the paired difference against the margin."""
    margin: float = Field(default=0.0, ge=0, le=100)
    """Percentage points: decided is a difference above the margin, below minus the margin, or between the two."""


_DECIDED: Final = "decided"


def _read_stop(value: Any) -> Stop | None:
    if value is None:
        return None
    fields = dict(value) if isinstance(value, Mapping) else {_PLAIN: value}
    rule = fields.pop(_PLAIN, _DECIDED)
    unknown = [f"stop.{name}={given}" for name, given in fields.items() if name != "margin"]
    if not isinstance(rule, str) or unknown:
        raise RimError(
            f"{', '.join(unknown) or f'stop={rule}'} is not known. Use `-T stop=decided`, with `-T stop.margin=POINTS` for "
            "a margin around 0, or `-T stop=GATE.yaml` for the limits of a gate file."
        )
    if rule != _DECIDED and fields:
        raise RimError(
            f"stop={rule} takes its limits from that file, so stop.margin has no use. Leave one of them out."
        )
    try:
        return Stop(**fields, rules=None if rule == _DECIDED else Path(rule).expanduser())
    except ValidationError as error:
        raise RimError(
            f"stop.margin is wrong ({first_complaint(error, str(value))}). Give percentage points from 0 to 100, such "
            "as -T stop.margin=5."
        ) from None


StopEarly = Annotated[Stop | None, BeforeValidator(_read_stop)]
OwnSampling = Annotated[dict[str, Any] | None, BeforeValidator(_read_own_sampling)]
Doses = Annotated[str | None, BeforeValidator(_read_doses)]
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
    sampling: Annotated[Requested, BeforeValidator(_read_sampling)] = Field(
        default="equal",
        description="`equal` decoding of both modes, or `recommended`: each as the model's maker advises.",
    )
    think: OwnSampling = Field(
        default=None,
        description="Your own sampling of the think mode: `-T think.temperature=0.6 -T think.top_p=0.95`.",
    )
    no_think: OwnSampling = Field(
        default=None, description="Your own sampling of the no-think mode, in the same way."
    )
    doses: Doses = Field(
        default=None,
        description="Amounts of thinking in place of the modes: `off,forced_empty,512,full,more`, or "
        "`effort:none,low,high`.",
    )
    attack: Text = Field(
        default=None,
        description="An attack by name, or a file of templates or wrapped prompts: every prompt is asked bare and "
        "wrapped.",
    )
    protocol: Text = Field(
        default=None,
        description="`paper` or `sdp`: what that publication says of its evaluation is set, and what it leaves open is "
        "printed.",
    )
    """Checked by `protocols.find_protocol`."""
    given: frozenset[str] = frozenset()
    """Names of the arguments that the user gave."""

    @property
    def own_sampling(self) -> dict[Mode, dict[str, Any] | None]:
        """The user's own sampling settings by mode."""
        return {"think": self.think, "no_think": self.no_think}

    def budgets(self, kind: PromptKind) -> Budgets:
        """Token budgets on prompts of one kind.

        Raises:
            RimError: A number is not a whole positive one.
        """
        return budgets(kind, self.answer_tokens, self.thinking_tokens)

    def solver_arguments(self, kind: PromptKind) -> dict[str, Any]:
        """Arguments of the registered solvers, which Inspect keeps in the log's plan."""
        names = ("switch", "chat_template", "served_as")
        return self.budgets(kind).model_dump() | {name: getattr(self, name) for name in names}

    def arm_arguments(self) -> dict[str, Any]:
        """Arguments of `both_modes` that say which arms there are; those that are left alone are left out."""
        given = self.model_dump(include={"doses", "attack", "think", "no_think"}, exclude_none=True)
        if self.sampling != "equal":
            given["sampling"] = self.sampling
        return given


class StoppableSettings(RunSettings):
    """Arguments of every task over one prompt set that may end early."""

    stop: StopEarly = Field(
        default=None,
        description="`decided` ends the run as soon as the interval of the difference between the modes lies on one "
        "side of 0, or of a margin in points (`-T stop.margin=5`), or within it; a gate file, as soon as its limits are "
        "decided. Intervals then hold at every look.",
    )


class SetSettings(StoppableSettings):
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


class PromptFileSettings(StoppableSettings):
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

_DOTTED: Final = "dotted"
"""Parameter that takes arguments with a dot in their names, such as `think.temperature`."""


_PLAIN: Final = ""
"""Where a mapping of dotted arguments keeps the plain one, as in `stop=decided` beside `stop.margin=5`."""

_READ: Final = "read_settings"
"""Attribute of a task: its arguments to its settings, without building it."""

_OF_ANY_TASK: Final[set[str]] = set()
"""Arguments of all tasks: one command may run several, which share what `-T` says."""


def _nested(task: str, arguments: Mapping[str, Any], allowed: Collection[str]) -> dict[str, Any]:
    """Arguments with those of dotted names folded into one mapping each; of other tasks' arguments none."""
    nested: dict[str, Any] = {}
    for name, value in sorted(arguments.items()):
        first, dot, rest = name.partition(".")
        if first not in allowed:
            if first not in _OF_ANY_TASK:
                raise RimError(f"There is no argument {name!r}; there are {', '.join(allowed)}.")
            _LOGGER.warning(f"The task {task} does not take {name}, which another one does.")
            continue
        before = nested.get(first)
        plain = before if isinstance(before, Mapping) or before is None else {_PLAIN: before}
        nested[first] = {**(plain or {}), rest: value} if dot else value
    return nested


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
    _OF_ANY_TASK.update(fields)
    signature = inspect.Signature(
        [
            *(
                inspect.Parameter(
                    name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=defaults.get(name, field.default),
                    annotation=field.annotation,
                )
                for name, field in fields.items()
            ),
            inspect.Parameter(_DOTTED, inspect.Parameter.VAR_KEYWORD),
        ]
    )
    documented = "".join(f"\n    {name}: {field.description}" for name, field in fields.items())

    def decorate(task: Callable[[Settings], Any]) -> Callable[..., Any]:
        def read(**arguments: Any) -> Settings:
            bound = signature.bind(**_nested(task.__name__, arguments, fields))
            given = frozenset(bound.arguments)
            bound.apply_defaults()
            del bound.arguments[_DOTTED]
            return settings(**bound.arguments, given=given)

        @functools.wraps(task)
        def read_and_build(**arguments: Any) -> Any:
            with user_errors():
                return task(read(**arguments))

        setattr(read_and_build, _READ, read)
        read_and_build.__signature__ = signature  # type: ignore[attr-defined]
        read_and_build.__doc__ = f"{inspect.getdoc(task)}\n\nArgs:{documented}"
        return read_and_build

    return decorate


def read_settings(task: Callable[..., Any], arguments: Mapping[str, Any]) -> RunSettings:
    """The settings that a task makes of its arguments; nothing is loaded.

    Args:
        task: A task that `takes` settings.
        arguments: Its arguments by name, as `-T` gives them.

    Raises:
        RimError: An argument is unknown or wrong.
    """
    read: Callable[..., RunSettings] = getattr(task, _READ)
    return read(**arguments)
