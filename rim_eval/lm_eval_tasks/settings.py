"""What task files and users set for the lm-eval tasks, and the prompts that a task is built from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import ConfigDict, ValidationError

from rim_eval.errors import RimError, SettingError, first_complaint
from rim_eval.prompt_sets import (
    Attack,
    LoadedSet,
    Prompt,
    PromptSet,
    Style,
    entry,
    load_attack,
    load_prompt_file,
    load_prompts,
    user_message,
)
from rim_eval.replies import prompt_facts
from rim_eval.thinking import OwnValues, SamplingValues
from rim_eval.types import FrozenModel, Mode, PromptKind

_LOGGER: Final = getLogger(__name__)

_SETTINGS: Final = "rim_eval"
"""Key of the settings in lm-eval's metadata, where the model's own arguments lie beside it."""

RUN: Final = "rim_eval_run"
"""Key in the metadata under which a task says what its run was."""


class Settings(FrozenModel):
    """What a user sets with `--metadata '{"rim_eval": {...}}'`.

    The arguments of the Inspect tasks, except `modes`, which is the task's name.
    """

    model_config = ConfigDict(strict=True)

    data: str | None = None
    """Folder of local prompt files."""
    file: str | None = None
    """Your own prompts, which `rim_prompts_think` and `rim_prompts_no_think` ask."""
    kind: PromptKind = "harmful"
    """What your own prompts ask."""
    prompt_column: str = "prompt"
    id_column: str | None = None
    category_column: str | None = None
    context_column: str | None = None
    pair_column: str | None = None
    target_column: str | None = None
    """Columns of your own file, as of Inspect's `rim_eval/prompts`."""
    subset: str | None = None
    prompt_style: Style | None = None
    """How reasoning problems are asked; the task's own style unless given."""
    answer_tokens: int | None = None
    thinking_tokens: int | None = None
    switch: str = "auto"
    """`auto`, or the thinking switch in words."""
    chat_template: str | None = None
    """Path of a chat template to read the switch from, for engines that show none."""
    judge: str | None = None
    """Name or path of a judge, or `none`; the set's own unless given."""
    sampling: Literal["equal", "recommended"] = "equal"
    """How both modes are decoded: alike, or each as the model's maker advises."""
    think: SamplingValues | None = None
    """Your own sampling of the think mode: `{"temperature": 0.6, "top_p": 0.95}`."""
    no_think: SamplingValues | None = None
    """Your own sampling of the no-think mode."""
    attack: str | None = None
    """An attack by name, or a file of templates or wrapped prompts, under which all prompts are asked."""
    model: str | None = None
    """The model's name in observations, where the engine's own is only an address or a path."""
    served_as: str | None = None
    """Other names by which the server may call the model, separated by commas."""

    @property
    def own_sampling(self) -> OwnValues:
        """The user's own sampling settings by mode."""
        given: dict[Mode, SamplingValues | None] = {"think": self.think, "no_think": self.no_think}
        return {mode: own.values if own else None for mode, own in given.items()}


class TaskFile(FrozenModel):
    """What a task file says (`dataset_kwargs`): one prompt set in one mode."""

    prompt_set: str | None = None
    """A set of the registry; None for the file that the user's settings name."""
    mode: Mode
    prompt_style: Style = "worked"
    """How the set's problems are asked unless the user says otherwise; prompts that are no problems
    are always asked as they are."""


class _InspectOnly(NamedTuple):
    """A setting of the Inspect tasks that lm-eval cannot measure."""

    reason: str
    example: str
    task: str | None = None
    """The Inspect task that takes it; None for that of the same set."""


_INSPECT_ONLY: Final = {
    "doses": _InspectOnly(
        "an lm-eval task asks every prompt once, in its own mode, and cannot go on with a reply",
        "off,512,full",
    ),
    "task": _InspectOnly(
        "another task's solver, tools and scorer are Inspect's",
        "inspect_evals/gpqa_diamond",
        "both",
    ),
    "protocol": _InspectOnly("a protocol sets both modes of one run together", "paper"),
}


def _refuse_inspect_only(settings: Any, prompt_set: str | None) -> None:
    """Refuse what only the Inspect tasks can do, with their command."""
    given = settings if isinstance(settings, Mapping) else {}
    for name, only in _INSPECT_ONLY.items():
        if name in given:
            value = given[name] or only.example
            value = ",".join(map(str, value)) if isinstance(value, list) else value
            task = only.task or prompt_set or "prompts -T file=FILE"
            raise RimError(
                f"{name}={value} is no setting of the lm-eval tasks: {only.reason}. Inspect measures it: "
                f"`inspect eval rim_eval/{task} --model MODEL -T {name}={value}`. Leave it out here."
            )


def read_settings(metadata: Mapping[str, Any] | None, prompt_set: str | None = None) -> Settings:
    """The user's settings out of a task's metadata.

    Args:
        metadata: The metadata.
        prompt_set: The task's set of the registry; None for a file.

    Raises:
        RimError: A setting does not exist here or has a wrong value.
    """
    settings = (metadata or {}).get(_SETTINGS, {})
    _refuse_inspect_only(settings, prompt_set)
    try:
        return Settings.model_validate(settings)
    except ValidationError as error:
        raise SettingError(
            f"--metadata {_SETTINGS} is wrong ({first_complaint(error, repr(settings))}). Give some of "
            f"{', '.join(Settings.model_fields)}",
            answer_tokens=1024,
        ) from None


def prompt_set_of(file: TaskFile, settings: Settings) -> PromptSet:
    """What is declared of a task's prompts.

    Raises:
        RimError: There is no such set, or the user's own file cannot be used.
    """
    return entry(file.prompt_set) if file.prompt_set else _load(file, settings).entry


def _load(file: TaskFile, settings: Settings) -> LoadedSet:
    if file.prompt_set:
        data = None if settings.data is None else Path(settings.data).expanduser()
        return load_prompts(file.prompt_set, data=data, subset=settings.subset)
    if settings.file is None:
        raise SettingError("No prompt file was given: name a CSV or JSONL file", file="FILE")
    columns = {name for name in Settings.model_fields if name.endswith("_column")}
    return load_prompt_file(settings.file, **settings.model_dump(include={"kind", *columns}))


@contextmanager
def plain_errors() -> Iterator[None]:
    """Show a `RimError` in `lm_eval` as its message alone, without a traceback."""
    try:
        yield
    except SettingError as error:
        words = f"--metadata '{json.dumps({_SETTINGS: _nested(error.settings)})}'"
        raise _PlainMessageError(error.message_with(words)) from None
    except RimError as error:
        raise _PlainMessageError(str(error)) from None


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON has them: `think.temperature` is a field of `think`."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        first, dot, rest = name.partition(".")
        nested[first] = {**nested.get(first, {}), rest: value} if dot else value
    return nested


class _PlainMessageError(RimError, SystemExit):
    """A problem that ends the command `lm_eval` with its message alone.

    lm-eval shows whatever a task raises as a traceback of its own code; Python shows an uncaught
    SystemExit as its text and ends with status 1. From Python it is an ordinary RimError.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message


def _wrapped(settings: Settings, prompts: Sequence[Prompt]) -> tuple[Attack | None, list[Prompt]]:
    """The attack, and the prompts as it wraps them: those that it has nothing for are left out."""
    if settings.attack is None:
        return None, list(prompts)
    attack = load_attack(settings.attack, settings.data)
    if without := len(prompts) - attack.count_wrapped(prompts):
        _LOGGER.warning(
            f"The attack {attack.name} has nothing for {without} of {len(prompts)} prompts; they are left out."
        )
    texts = ((prompt, attack.wrap(prompt)) for prompt in prompts)
    return attack, [p.model_copy(update={"text": text}) for p, text in texts if text is not None]


@plain_errors()
def load_documents(**arguments: Any) -> dict[str, Any]:
    """The documents of one task; lm-eval calls this (`custom_dataset`) when it builds the task.

    Args:
        **arguments: The task file's `dataset_kwargs` (prompt set, mode, style) and all metadata.

    Returns:
        One split, `test`. A document holds the prompt's opaque id, what scoring needs (the bare prompt
        too), and the message, which holds the prompt as the attack wraps it where there is one; the
        description says as JSON where prompts and attack came from.

    Raises:
        RimError: The set or the attack is unknown, missing, gated or not as it should be: the same message as
            under Inspect.
    """
    from datasets import Dataset, DatasetInfo

    fields = arguments.keys() & TaskFile.model_fields.keys()
    file = TaskFile.model_validate({name: arguments[name] for name in fields})
    settings = read_settings(arguments, file.prompt_set)
    loaded = _load(file, settings)
    style = settings.prompt_style or file.prompt_style
    attack, asked = _wrapped(settings, loaded.prompts)
    bare = {prompt.id: prompt for prompt in loaded.prompts}
    documents = [
        {
            "id": prompt.id,
            **prompt_facts(bare[prompt.id]),
            "message": user_message(prompt, style),
            "target": prompt.target or "",
        }
        for prompt in asked
    ]
    sources: dict[str, Any] = {"provenance": loaded.provenance.model_dump(mode="json")}
    if attack is not None:
        sources["attack"] = attack.provenance.model_dump(mode="json") | {"name": attack.name}
    info = DatasetInfo(description=json.dumps(sources))
    return {"test": Dataset.from_list(documents, info=info)}
