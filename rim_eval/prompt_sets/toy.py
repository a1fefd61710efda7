"""Refuse toy sets for models other than organisms and scripted models."""

import json
import logging
from functools import cache
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.paths import organism_dir
from rim_eval.prompt_sets.registry import PromptSet

_LOGGER = logging.getLogger(__name__)

_NAMES: Final = ("organism", "scripted", "rim_toy/", "mockllm/", "dummy")
"""Parts of the names of organisms, served ones too, and of models that play a script."""


def refuse_real_model(
    entry: PromptSet, model: str, config: Any = None, *, is_alias: bool = False
) -> None:
    """Refuse to measure a model with a toy set unless it is an organism or plays a script.

    Args:
        entry: The prompt set.
        model: The model's name, with its engine.
        config: The transformers configuration of a model in this process, whose vocabulary tells an organism.
        is_alias: Whether the name is a server's own and tells nothing of the weights: then this is a warning.

    Raises:
        RimError: The set is a toy set, and the model knows nothing of its rule book.
    """
    if entry.source.type != "shipped" or is_toy_model(model, config):
        return
    problem = (
        f"The set {entry.name} is for the model organisms that rim_eval ships (`rim-eval demo`): they were trained on "
        f"its rule book, and of {model} its figures say nothing. Choose a real set (`rim-eval data list`), or your own "
        "prompts (rim_eval/prompts). An organism that is served needs `organism` in its name."
    )
    if not is_alias:
        raise RimError(problem)
    _LOGGER.warning(problem)


def is_toy_model(model: str, config: Any = None) -> bool:
    """Tell whether a model is an organism or plays a script, by its name or its vocabulary.

    Args:
        model: The model's name.
        config: Its transformers configuration, where there is one.
    """
    if any(name in model.casefold() for name in _NAMES):
        return True
    return getattr(config, "vocab_size", None) == _organism_vocabulary()


@cache
def _organism_vocabulary() -> int:
    return int(json.loads((organism_dir() / "config.json").read_text("utf-8"))["vocab_size"])
