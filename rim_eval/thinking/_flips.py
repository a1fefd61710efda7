"""User prompts that turn the mode by themselves."""

import re
from typing import Final

from rim_eval.thinking._probe import PLAIN
from rim_eval.thinking._reading import read_tail
from rim_eval.thinking._recipe import Recipe
from rim_eval.thinking._render import Renderer

__all__ = ["prompt_flips_mode"]

_SOFT_WORD: Final = re.compile(r"(?<!\S)/no_?think(?!\S)", re.IGNORECASE)


def prompt_flips_mode(render: Renderer, recipe: Recipe, text: str) -> bool:
    """Whether a user prompt would turn the mode that a recipe asks for.

    Some templates look for soft switches (`/no_think`) in user messages, and some models obey
    them there although their template does not look. Both count; the second only where the
    prompt leaves the trace to the model.

    Args:
        render: The model's renderer.
        recipe: The recipe of the mode.
        text: The user prompt.
    """
    asked = read_tail(recipe.prompt(render, PLAIN[0]["content"])).state
    got = read_tail(recipe.prompt(render, text)).state
    return asked != got or (asked == "none" and bool(_SOFT_WORD.search(text)))
