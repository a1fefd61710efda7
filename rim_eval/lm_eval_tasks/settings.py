"""What task files and users set for the lm-eval tasks, and the prompts that a task is built from."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, ValidationError

from rim_eval.errors import RimError, SettingError, first_complaint
from rim_eval.prompt_sets import (
    LoadedSet,
    PromptSet,
    Style,
    entry,
    load_prompt_file,
    load_prompts,
    user_message,
)
from rim_eval.replies import prompt_facts
from rim_eval.types import FrozenModel, Mode, PromptKind

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
    model: str | None = None
    """The model's name in observations, where the engine's own is only an address or a path."""
    served_as: str | None = None
    """Other names by which the server may call the model, separated by commas."""


class TaskFile(FrozenModel):
    """What a task file says (`dataset_kwargs`): one prompt set in one mode."""

    prompt_set: str | None = None
    """A set of the registry; None for the file that the user's settings name."""
    mode: Mode
    prompt_style: Style = "worked"
    """How the set's problems are asked unless the user says otherwise; prompts that are no problems
    are always asked as they are."""


def read_settings(metadata: Mapping[str, Any] | None) -> Settings:
    """The user's settings out of a task's metadata.

    Raises:
        RimError: A setting does not exist or has a wrong value.
    """
    settings = (metadata or {}).get(_SETTINGS, {})
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
        words = f"--metadata '{json.dumps({_SETTINGS: error.settings})}'"
        raise _PlainMessageError(error.message_with(words)) from None
    except RimError as error:
        raise _PlainMessageError(str(error)) from None


class _PlainMessageError(RimError, SystemExit):
    """A problem that ends the command `lm_eval` with its message alone.

    lm-eval shows whatever a task raises as a traceback of its own code; Python shows an uncaught
    SystemExit as its text and ends with status 1. From Python it is an ordinary RimError.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message


@plain_errors()
def load_documents(**arguments: Any) -> dict[str, Any]:
    """The documents of one task; lm-eval calls this (`custom_dataset`) when it builds the task.

    Args:
        **arguments: The task file's `dataset_kwargs` (prompt set, mode, style) and all metadata.

    Returns:
        One split, `test`. A document holds the prompt's opaque id and what scoring needs; the
        description says as JSON where the prompts came from.

    Raises:
        RimError: The set is unknown, missing, gated or not as it should be: the same message as
            under Inspect.
    """
    from datasets import Dataset, DatasetInfo

    fields = arguments.keys() & TaskFile.model_fields.keys()
    file = TaskFile.model_validate({name: arguments[name] for name in fields})
    settings = read_settings(arguments)
    loaded = _load(file, settings)
    style = settings.prompt_style or file.prompt_style
    documents = [
        {
            "id": prompt.id,
            **prompt_facts(prompt),
            "message": user_message(prompt, style),
            "target": prompt.target or "",
        }
        for prompt in loaded.prompts
    ]
    info = DatasetInfo(description=loaded.provenance.model_dump_json())
    return {"test": Dataset.from_list(documents, info=info)}
