"""How each mode of a model is decoded: alike, as its maker advises, or as the user says."""

import logging
from functools import cache
from typing import Final

from inspect_ai.model import Model

from rim_eval.errors import RimError
from rim_eval.inspect_tasks.compat import active_generate_config
from rim_eval.inspect_tasks.switches import weights_name
from rim_eval.thinking import (
    OwnValues,
    Sampling,
    generation_config_of,
    greedy_warning,
    protocol_of,
    sampling_of_mode,
)
from rim_eval.types import MODES, Mode, SamplingProtocol

_LOGGER: Final = logging.getLogger(__name__)

_SHARED: Final = ("temperature", "top_p", "top_k")


def decoding_of(model: Model, requested: SamplingProtocol, own: OwnValues) -> dict[Mode, Sampling]:
    """The sampling of each mode; empty where both are as the run's own settings say.

    Args:
        model: The evaluated model.
        requested: `equal` or `recommended`, as the user chose.
        own: The user's own values, which come before those of the maker.

    Raises:
        RimError: Nothing is known of what the maker advises, a mode has no temperature, or a flag sets both
            modes alike.
    """
    protocol = protocol_of(requested, own)
    if protocol == "equal":
        return {}
    _refuse_shared()
    name, weights = weights_name(model), getattr(model.api, "model", None)
    read_config = cache(lambda: generation_config_of(name, weights))  # once for both modes
    return {mode: sampling_of_mode(name, mode, requested, own, read_config) for mode in MODES}


def _refuse_shared() -> None:
    config = active_generate_config()
    for name in _SHARED:
        if (value := getattr(config, name)) is not None:
            flag = f"--{name.replace('_', '-')}"
            raise RimError(
                f"{flag} {value:g} sets both modes alike, and here each mode has a sampling of its own. Leave {flag} "
                f"out, or give your own values by mode: -T think.{name}={value:g} -T no_think.{name}={value:g}."
            )


def warn_of_greedy(model: Model) -> None:
    """Warn where both modes are decoded greedily, and the maker advises against that.

    Args:
        model: The evaluated model.
    """
    for mode in MODES:
        if warning := greedy_warning(weights_name(model), mode):
            _LOGGER.warning(
                f"{warning} Both modes are decoded greedily here, so that they differ by nothing but thinking; run "
                "the set with -T sampling=recommended too: both stand on one card."
            )
