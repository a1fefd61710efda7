"""How a task's mode is decoded: as every mode is, as the model's maker advises, or as the user says.

Read in lm-eval 0.4.13: engines take the settings as `generation_kwargs`. `do_sample` decides for hf alone, and without a
temperature lm-eval decodes greedily.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from rim_eval.errors import RimError, SettingError
from rim_eval.lm_eval_tasks.engine import Engine
from rim_eval.lm_eval_tasks.settings import Settings
from rim_eval.thinking import (
    Sampling,
    SamplingValues,
    generation_config_of,
    greedy_warning,
    protocol_of,
    sampling_family,
    sampling_of_mode,
)
from rim_eval.types import Mode

_LOGGER: Final = logging.getLogger(__name__)

_ALL: Final = frozenset(SamplingValues.model_fields)
_HOSTED: Final = frozenset({"temperature", "top_p", "presence_penalty"})
_TAKEN: Final[dict[str, frozenset[str]]] = {
    # transformers has no presence penalty, and refuses words that it does not know.
    "HFLM": _ALL - {"presence_penalty"},
    "AnthropicChat": frozenset({"temperature", "top_p", "top_k"}),
    "OpenAICompletionsAPI": _HOSTED,
    "OpenAIChatCompletion": _HOSTED,
}
"""Settings that an engine takes, by lm-eval's class; the others take all: vllm and sglang as their sampling parameters,
clients of other servers as fields of the request."""

_FIXED: Final = ("o1", "5", "o3", "o4")
"""What lm-eval's client of OpenAI's chats looks for in a model's name, to ask with temperature 1."""


def sampling_for(engine: Engine, settings: Settings, mode: Mode) -> Sampling | None:
    """The sampling of a task's mode; None where both modes are decoded as `generation_kwargs` say.

    Args:
        engine: The model.
        settings: The user's settings.
        mode: The task's mode.

    Raises:
        SettingError: Nothing is known of what the maker advises, or the mode has no temperature.
    """
    if protocol_of(settings.sampling, settings.own_sampling) == "equal":
        return None
    found = sampling_of_mode(
        _name(engine, settings),
        mode,
        settings.sampling,
        settings.own_sampling,
        lambda: generation_config_of(engine.weights_name, getattr(engine.lm, "model", None)),
    )
    if found.temperature is None:
        raise SettingError(
            f"{mode}.temperature is missing: {found.source} gives none, and lm-eval would decode greedily. Give it",
            **{f"{mode}.temperature": 0.6},
        )
    return found


def _name(engine: Engine, settings: Settings) -> str:
    """The name that tells the model's family: the user's where the engine's is only an address or a path."""
    names = (engine.weights_name, settings.model or "")
    return next(filter(sampling_family, names), engine.weights_name)


def refuse_shared(generation_kwargs: Mapping[str, Any], mode: Mode) -> None:
    """Refuse `--gen_kwargs` that set both modes alike where each mode has a sampling of its own.

    Args:
        generation_kwargs: The user's, without the task file's own.
        mode: The task's mode.

    Raises:
        RimError: One is given.
    """
    if "do_sample" in generation_kwargs:
        raise RimError(
            f"--gen_kwargs do_sample={generation_kwargs['do_sample']} has no use where each mode has a sampling of its "
            "own: its temperature says whether replies are drawn. Leave it out."
        )
    for name in SamplingValues.model_fields:
        if (value := generation_kwargs.get(name)) is not None:
            raise SettingError(
                f"--gen_kwargs {name}={value} sets both modes alike, and here each mode has a sampling of its own. "
                "Leave it out, or give your own values by mode",
                **{f"{each}.{name}": value for each in (mode, _other(mode))},
            )


def _other(mode: Mode) -> Mode:
    return "no_think" if mode == "think" else "think"


def generation_kwargs_of(engine: Engine, sampling: Sampling) -> dict[str, Any]:
    """The `generation_kwargs` by which an engine decodes as a sampling says; warns of what it loses.

    Args:
        engine: The model.
        sampling: The sampling, with a temperature.
    """
    values: dict[str, Any] = dict(sampling.effective)
    classes = [each.__name__ for each in type(engine.lm).__mro__]
    taken = next((_TAKEN[name] for name in classes if name in _TAKEN), _ALL)
    lost = [name for name in values if name not in taken]
    if "OpenAIChatCompletion" in classes and any(mark in engine.weights_name for mark in _FIXED):
        lost += ["temperature"] if sampling.temperature != 1 else []
    if lost:
        _warn_of_lost(engine.model, ", ".join(lost))
    if values.get("top_k") in (0, -1):  # no cut: engines write it in two ways
        values["top_k"] = 0 if "HFLM" in classes else -1
    if sampling.greedy and "HFLM" in classes:  # transformers complains of them
        taken -= {"top_p", "top_k", "min_p"}
    kept = {name: value for name, value in values.items() if name in taken}
    return {"do_sample": not sampling.greedy, **kept}


@cache
def _warn_of_lost(model: str, names: str) -> None:
    _LOGGER.warning(
        f"lm-eval does not pass on {names} to {model}: the model is sampled without what is set."
    )


def warn_of_decoding(
    engine: Engine, settings: Settings, mode: Mode, sampling: Sampling | None, temperature: float
) -> None:
    """Say how a mode is decoded, and what is to be known of it.

    Args:
        engine: The model.
        settings: The user's settings.
        mode: The task's mode.
        sampling: The mode's own sampling; None where both modes are decoded alike.
        temperature: The temperature; 0 is greedy.
    """
    if sampling is not None:
        values = ", ".join(f"{name} {value:g}" for name, value in sampling.values.items())
        _LOGGER.warning(f"Sampling of the {mode} mode: {values} ({sampling.source}).")
    elif not temperature and (warning := greedy_warning(_name(engine, settings), mode)):
        _LOGGER.warning(
            f"{warning} Both modes are decoded greedily here, so that they differ by nothing but thinking; run the "
            'tasks with {"rim_eval": {"sampling": "recommended"}} too: both stand on one card.'
        )
    if temperature:
        _warn_of_one_epoch(engine.model)


@cache
def _warn_of_one_epoch(model: str) -> None:
    _LOGGER.warning(
        f"Replies of {model} are sampled, and lm-eval asks every prompt once: how much a reply differs from draw to "
        "draw stays unknown. Inspect asks several times: `inspect eval rim_eval/SET --epochs 4`."
    )
