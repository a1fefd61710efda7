"""What a user can set for the lm-eval tasks: `--metadata '{"rim_eval": {...}}'`."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rim_eval.asking import Style
from rim_eval.errors import RimError
from rim_eval.types import Mode

__all__ = ["KEY", "RUN", "Arm", "Settings", "read_settings"]

KEY: Final = "rim_eval"
"""Key of the settings in lm-eval's metadata, where the model's own arguments lie beside it."""


RUN: Final = "rim_eval_run"
"""Key in the metadata under which a task says what its run was."""


class Settings(BaseModel):
    """The same arguments as those of the Inspect tasks, except `modes`, which is the task's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str | None = None
    """Folder of local prompt files."""
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


class Arm(BaseModel):
    """What a task file says: one prompt set in one mode."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_set: str
    mode: Mode
    prompt_style: Style = "worked"
    """How the set's problems are asked unless the user says otherwise; prompts that are no problems
    are always asked as they are."""
    absolute_error: float | None = None
    """How far an answer may lie from the gold one, by the set's own rule; None where it must be equal."""


def read_settings(metadata: Mapping[str, Any] | None) -> Settings:
    """The user's settings out of a task's metadata.

    Raises:
        RimError: A setting does not exist or has a wrong value.
    """
    given = (metadata or {}).get(KEY, {})
    try:
        return Settings.model_validate(given, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise RimError(
            f"--metadata {KEY}: {name or given!r} is wrong ({first['msg']}). Settings: "
            f"{', '.join(Settings.model_fields)}; for example "
            f'--metadata \'{{"{KEY}": {{"answer_tokens": 1024}}}}\'.'
        ) from None
