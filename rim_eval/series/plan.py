"""Plan a series: its models by name, and the folder that holds it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.files import read_json_object, write_whole
from rim_eval.series.schema import SeriesModel, SeriesSettings
from rim_eval.suite.names import short_name, without_secrets

SETTINGS_FILE: Final = "series.json"

_NAMED: Final = re.compile(r"([^/=:]+)=(.+)")


def parse_models(words: Sequence[str]) -> tuple[SeriesModel, ...]:
    """Read the models of a series, in the order given.

    Args:
        words: Each a model as Inspect takes it, or `NAME=MODEL`. Without a name the last part of the model is
            its label: `hf/runs/step-8` is `step-8`, `vllm/base:adapters/b` is `b`.

    Raises:
        RimError: There are fewer than two, a name has other signs, or two are alike.
    """
    if len(words) < 2:
        raise RimError(
            f"A series has a base model and at least one checkpoint or adapter, got {len(words)}. Give the base "
            "first: rim-eval series hf/base hf/step-100 hf/step-200 --tasks hexphi,gsm8k --log-dir logs/series"
        )
    models = []
    for word in words:
        named = _NAMED.fullmatch(word)
        label, model = named.groups() if named else (short_name(word), word)
        try:
            models.append(SeriesModel(label=label, model=model.rstrip("/")))
        except ValidationError as error:
            raise RimError(
                f"{word}: {first_complaint(error, 'the model')}. Name it with letters, digits and . _ + @ -, "
                "such as step-100=hf/runs/100."
            ) from None
        _refuse_alike(models)
    return tuple(models)


def _refuse_alike(models: Sequence[SeriesModel]) -> None:
    *others, last = models
    for other in others:
        if other.model == last.model:
            raise RimError(f"{last.model} is given twice: each model of a series is another one.")
        if other.label == last.label:
            raise RimError(
                f"{other.model} and {last.model} would both be called {last.label}. Name them apart: "
                f"{last.label}-2={last.model}"
            )


def open_series(folder: Path, settings: SeriesSettings) -> None:
    """Write the settings of a new series, or make sure that the folder holds this one.

    Values whose names look like a secret's are neither written nor compared.

    Args:
        folder: Folder of the series.
        settings: What was asked for.

    Raises:
        RimError: The folder holds another series, or logs of something else.
    """
    file = folder / SETTINGS_FILE
    wanted = settings.model_copy(update={"model_args": without_secrets(settings.model_args)})
    wanted = wanted.model_copy(update={"model_roles": without_secrets(settings.model_roles)})
    if not file.exists():
        if next(folder.rglob("*.eval"), None) is not None:
            raise RimError(f"{folder} holds logs and no {SETTINGS_FILE}: give another --log-dir.")
        write_whole({file: wanted.model_dump_json(indent=1) + "\n"})
        return
    try:
        present = SeriesSettings.model_validate(read_json_object(file))
    except ValidationError as error:
        raise RimError(
            f"{file} cannot be read ({first_complaint(error, 'the file')}): give another --log-dir."
        ) from None
    if differences := list(_differences(present, wanted)):
        raise RimError(
            f"{folder} holds another series: {'; '.join(differences)}. Give its own command again, or another "
            "--log-dir."
        )


def _differences(present: SeriesSettings, wanted: SeriesSettings) -> list[str]:
    """What two series differ in, in words."""
    words = []
    for name in SeriesSettings.model_fields:
        # Through JSON, where a tuple is a list.
        before, now = (each.model_dump(mode="json")[name] for each in (present, wanted))
        if before != now:
            words.append(f"{name} was {_short(before)} and is now {_short(now)}")
    return words


def _short(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        value = [f"{each['label']}={each['model']}" for each in value]
    return json.dumps(value)[:200]
