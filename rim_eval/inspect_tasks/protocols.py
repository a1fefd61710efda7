"""Published protocols: what a paper says of its evaluation is set, and what it leaves open is said with the value here.

They are data, `protocols.toml`, chosen by `-T protocol=NAME`. A setting that contradicts the chosen one is refused.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal, TypeVar, get_args

from pydantic import Field, TypeAdapter, field_validator

from rim_eval.decoding import SEED, TOP_P
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import active_generate_config, model_roles
from rim_eval.inspect_tasks.settings import RunSettings
from rim_eval.judging import load_judge
from rim_eval.prompt_sets import Style
from rim_eval.thinking import SamplingValues
from rim_eval.types import FrozenModel, PromptKind

Settings = TypeVar("Settings", bound=RunSettings)

Fact = Literal[
    "answer_tokens", "thinking_tokens", "top_p", "system_message", "seed", "modes", "judge_sees", "prompt_style",
]  # fmt: skip
"""What an open point may say of the run, in braces."""


class StatedSettings(FrozenModel):
    """What a protocol says of its evaluation. What is None, or empty, it does not say."""

    sampling: Literal["equal", "recommended"] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Of both modes, decoded alike."""
    think_sampling: SamplingValues | None = None
    no_think_sampling: SamplingValues | None = None
    """Of one mode."""
    answer_tokens: int | None = Field(default=None, ge=1)
    thinking_tokens: int | None = Field(default=None, ge=0)
    """Token budgets, the trace's on top of the answer's."""
    epochs: int | None = Field(default=None, ge=1)
    no_system_message: bool = False
    prompt_style: Style | None = None
    thinking_off: str | None = None
    """How thinking is turned off, for readers."""
    switches: tuple[str, ...] = ()
    """Switches in words that do so."""
    judges: tuple[str, ...] = ()
    """Judges that it allows; the first is the default."""
    misaligned_from: float | None = None
    """Score from which on its judge calls a reply misaligned."""
    grader: str | None = None
    """Model behind the judge, as Inspect names it. Another one is allowed, and said."""
    grader_temperature: float | None = None

    def over(self, other: "StatedSettings") -> "StatedSettings":
        """These settings, and those of another where this one says nothing.

        Args:
            other: What is said of all kinds of prompts.
        """
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return other.model_copy(update=own)

    def arguments(self) -> dict[str, Any]:
        """Task arguments that are set, by name."""
        names = ("sampling", "answer_tokens", "thinking_tokens", "prompt_style")
        values = {name: getattr(self, name) for name in names}
        for mode, sampling in (
            ("think", self.think_sampling),
            ("no_think", self.no_think_sampling),
        ):
            values[mode] = sampling and sampling.values
        values["judge"] = self.judges[0] if self.judges else None
        return {name: value for name, value in values.items() if value is not None}

    def allows(self, name: str, value: Any) -> bool:
        """Whether a value of a task argument agrees with what is stated.

        Args:
            name: The argument.
            value: What the user gave, as the task reads it; None is no value.
        """
        if name == "judge" and self.judges:
            return value in (None, "none", *self.judges)  # `none` judges later
        if name == "switch" and self.switches:
            return value in ("auto", *self.switches)
        stated = self.arguments()
        return value is None or name not in stated or stated[name] == value


class OpenPoint(FrozenModel):
    """One thing that a protocol does not say, and what this run takes."""

    point: str
    here: str
    """Facts of the run stand in braces."""
    kinds: tuple[PromptKind, ...] = get_args(PromptKind)
    """Kinds of prompts that it concerns."""
    task: Literal["injection"] | None = None
    """The one task that it concerns; None for all."""

    @field_validator("here")
    @classmethod
    def _check_facts(cls, here: str) -> str:
        named = {name for _, name, _, _ in Formatter().parse(here) if name is not None}
        if unknown := named - {*get_args(Fact)}:
            raise ValueError(f"{sorted(unknown)} are none of {[*get_args(Fact)]}")
        return here


class PublishedProtocol(FrozenModel):
    """One protocol: an entry of `protocols.toml`, which says what each field is."""

    title: str
    authors: str
    source: str = Field(pattern=r"^https://\S+$")
    sets: tuple[str, ...] = Field(min_length=1)
    without: tuple[str, ...] = ()
    all: StatedSettings = StatedSettings()
    harmful: StatedSettings = StatedSettings()
    benign: StatedSettings = StatedSettings()
    reasoning: StatedSettings = StatedSettings()
    open: tuple[OpenPoint, ...] = ()

    def stated(self, kind: PromptKind) -> StatedSettings:
        """What it says of prompts of one kind."""
        of_kind: StatedSettings = getattr(self, kind)
        return of_kind.over(self.all)


PROTOCOLS: Final[dict[str, PublishedProtocol]] = TypeAdapter(
    dict[str, PublishedProtocol]
).validate_python(tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")))
"""The shipped protocols by name."""


def find_protocol(name: str) -> PublishedProtocol:
    """A protocol by its name.

    Raises:
        RimError: There is none of this name; the message lists those that there are.
    """
    if name not in PROTOCOLS:
        raise RimError(
            f"protocol={name} is not known. There are: {', '.join(PROTOCOLS)}. Leave it out for the settings of rim_eval."
        )
    return PROTOCOLS[name]


def follow_protocol(settings: Settings, kind: PromptKind) -> Settings:
    """The settings with what the chosen protocol says of this kind of prompts; unchanged where none is chosen.

    Args:
        settings: The task's arguments as the user gave them.
        kind: Kind of the prompts.

    Raises:
        RimError: The user's own setting or flag contradicts the protocol.
    """
    if settings.protocol is None:
        return settings
    protocol = find_protocol(settings.protocol)
    stated = protocol.stated(kind)
    _refuse_arguments(settings, protocol, stated)
    _refuse_flags(settings.protocol, protocol, stated)
    given = {name for name in settings.given if getattr(settings, name) is not None}
    update = {
        name: value
        for name, value in stated.arguments().items()
        if name in type(settings).model_fields and name not in given
    }
    return settings.model_copy(update=update)


def _refuse_arguments(
    settings: RunSettings, protocol: PublishedProtocol, stated: StatedSettings
) -> None:
    for name in sorted(settings.given):
        value = getattr(settings, name)
        if name in protocol.without and value is not None:
            raise _contradiction(f"-T {name}", settings.protocol, protocol, f"has no {name}")
        if not stated.allows(name, value):
            allowed = {"judge": stated.judges, "switch": stated.switches}.get(name)
            says = " or ".join(allowed) if allowed else stated.arguments()[name]
            flag = f"-T {name}={value}"
            raise _contradiction(flag, settings.protocol, protocol, f"says {name}={says}")


def _refuse_flags(name: str, protocol: PublishedProtocol, stated: StatedSettings) -> None:
    config = active_generate_config()
    if stated.temperature is not None and config.temperature not in (None, stated.temperature):
        says = f"says temperature {stated.temperature:g}"
        raise _contradiction(f"--temperature {config.temperature:g}", name, protocol, says)
    if stated.no_system_message and config.system_message:
        raise _contradiction("--system-message", name, protocol, "has no system prompt")


def _contradiction(
    given: str, name: str | None, protocol: PublishedProtocol, says: str
) -> RimError:
    return RimError(
        f"{given} contradicts protocol={name}, which {says} ({protocol.authors}, {protocol.source}). Leave one of the "
        "two out."
    )


def stated_settings(settings: RunSettings, kind: PromptKind) -> StatedSettings:
    """What the chosen protocol says of one kind of prompts; nothing where none is chosen.

    Args:
        settings: The task's arguments.
        kind: Kind of the prompts.
    """
    name = settings.protocol
    return find_protocol(name).stated(kind) if name else StatedSettings()


def describe_protocol(
    settings: RunSettings, dataset: str, kind: PromptKind, switch: str | None = None
) -> str:
    """What the chosen protocol sets and leaves open on one prompt set, and where this run departs from it.

    Args:
        settings: The settings that follow it, with the run's token budgets.
        dataset: Name of the prompt set.
        kind: Kind of its prompts.
        switch: Name of the model's thinking switch; None where it is not known yet.

    Returns:
        Lines of text.

    Raises:
        RimError: There is no such protocol.
    """
    protocol = find_protocol(settings.protocol or "")
    stated = protocol.stated(kind)
    sections = {
        "It sets:": _set_lines(stated),
        "It leaves open (after the colon: what this run takes):": _open_lines(
            protocol, settings, kind
        ),
        "This run departs from it:": _departures(protocol, stated, settings, dataset, switch),
    }
    lines = [
        f"protocol={settings.protocol}: {protocol.title} ({protocol.authors}, {protocol.source})"
    ]
    for heading, items in sections.items():
        if listed := [f"  - {item}" for item in items]:
            lines += [heading, *listed]
    return "\n".join(lines)


def _set_lines(stated: StatedSettings) -> Iterator[str]:
    for name, value in stated.arguments().items():
        yield f"{name}={_words(value)}" + _judge_words(stated) * (name == "judge")
    if stated.temperature is not None:
        yield f"temperature {stated.temperature:g} in both modes"
    if stated.epochs:
        yield f"{stated.epochs} epochs"
    if stated.no_system_message:
        yield "no system prompt"
    if stated.thinking_off:
        yield f"thinking off: {stated.thinking_off}"
    if stated.grader:
        yield f"grader {stated.grader} (--model-role grader={stated.grader})"


def _judge_words(stated: StatedSettings) -> str:
    words = []
    if stated.misaligned_from is not None:
        words.append(f"misaligned from score {stated.misaligned_from:g} on")
    if stated.grader_temperature is not None:
        words.append(f"its grader at temperature {stated.grader_temperature:g}")
    return "".join(f", {each}" for each in words)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each:g}" for name, each in value.items())
    return str(value)


def _open_lines(
    protocol: PublishedProtocol, settings: RunSettings, kind: PromptKind
) -> Iterator[str]:
    facts = _facts(settings, kind)
    is_injection = "statements" in type(settings).model_fields
    for each in protocol.open:
        if kind in each.kinds and (each.task is None or is_injection):
            yield f"{each.point}: {each.here.format(**facts)}"


def _facts(settings: RunSettings, kind: PromptKind) -> dict[Fact, object]:
    config, budgets = active_generate_config(), settings.budgets(kind)
    judge = getattr(settings, "judge", None)
    return {
        "answer_tokens": budgets.answer_tokens,
        "thinking_tokens": budgets.thinking_tokens,
        "top_p": TOP_P if config.top_p is None else config.top_p,
        "system_message": "the user's own" if config.system_message else "none",
        "seed": SEED if config.seed is None else config.seed,
        "modes": " and ".join(mode.replace("_", "-") for mode in settings.modes),
        "judge_sees": load_judge(judge).sees if judge not in (None, "none") else "not judged yet",
        "prompt_style": getattr(settings, "prompt_style", None),
    }


def _departures(
    protocol: PublishedProtocol, stated: StatedSettings, settings: RunSettings, dataset: str, switch: str | None,
) -> Iterator[str]:  # fmt: skip
    if dataset not in protocol.sets:
        sets = ", ".join(protocol.sets)
        yield f"it was not used on {dataset}; of the sets here it was on {sets}"
    if switch and stated.switches and switch not in stated.switches:
        yield f"this model's thinking is turned off otherwise (switch {switch})"
    grader = model_roles().get("grader")
    if stated.grader and grader is not None:
        named = ", ".join(map(str, grader if isinstance(grader, list) else [grader]))
        if named != stated.grader:
            yield f"the grader is {named}"
