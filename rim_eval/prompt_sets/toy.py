"""The toy sets are for the model organisms, which were trained on their rule book, and for scripted models."""

import json
from functools import cache
from typing import Any, Final

from rim_eval.errors import RimError
from rim_eval.paths import organism_dir
from rim_eval.prompt_sets.registry import PromptSet

_NAMES: Final = ("organism", "scripted", "rim_toy/", "mockllm/", "dummy")
"""Parts of the names of organisms, served ones too, and of models that play a script."""


def refuse_real_model(entry: PromptSet, model: str, config: Any = None) -> None:
    """Refuse to measure a model with a toy set unless it is an organism or plays a script.

    Args:
        entry: The prompt set.
        model: The model's name, with its engine.
        config: The transformers configuration of a model in this process, whose vocabulary tells an organism.

    Raises:
        RimError: The set is a toy set, and the model knows nothing of its rule book.
    """
    if entry.source.type != "shipped" or any(name in model.casefold() for name in _NAMES):
        return
    if getattr(config, "vocab_size", None) == _organism_vocabulary():
        return
    raise RimError(
        f"The set {entry.name} is for the model organisms that rim_eval ships (`rim-eval demo`): they were trained on "
        f"its rule book, and of {model} its figures say nothing. Choose a real set (`rim-eval data list`), or your own "
        "prompts (rim_eval/prompts). An organism that is served needs `organism` in its name."
    )


@cache
def _organism_vocabulary() -> int:
    return int(json.loads((organism_dir() / "config.json").read_text("utf-8"))["vocab_size"])
