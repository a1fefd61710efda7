"""Switches that no word of the template shows: known from a model card, or hidden in a default message."""

import re
from typing import Final

from rim_eval.errors import RimError
from rim_eval.thinking._probe import PLAIN
from rim_eval.thinking._reading import compare, knows_traces
from rim_eval.thinking._recipe import Recipe, Switch
from rim_eval.thinking._render import Renderer

__all__ = ["unseen_switch"]

_UNSEEN_SWITCHES: Final = (
    # The template prints the system message and knows nothing of the words that the weights obey.
    (
        r"nemotron.*(nano|super|ultra).*v1(?![._]?\d)",
        "detailed thinking on",
        "detailed thinking off",
    ),
)
"""Model names whose switch no template shows (NVIDIA's model cards), with the system words."""


def unseen_switch(render: Renderer, plain: str, model: str | None) -> Switch | None:
    """The switch that the template's words do not show, if there is one.

    Args:
        render: The model's renderer.
        plain: A plain user message, rendered.
        model: The model's name.
    """
    return _of_model_card(model) or _default_instruction(render, plain)


def _of_model_card(model: str | None) -> Switch | None:
    for pattern, on, off in _UNSEEN_SWITCHES:
        if model and re.search(pattern, model, re.IGNORECASE):
            return Switch(
                kind="switch",
                name=f"system:{off}",
                think=Recipe(system=on),
                no_think=Recipe(system=off),
                evidence=f"The template of {model} shows no switch; its model card names the system "
                f"words {on!r} and {off!r}, which the template prints as they are.",
            )
    return None


def _default_instruction(render: Renderer, plain: str) -> Switch | None:
    """A template whose default system message asks for a trace: any other message turns it off."""
    neutral = Recipe(system="You are a helpful assistant.")
    try:
        replaced = neutral.prompt(render, PLAIN[0]["content"])
    except RimError:
        return None
    found = compare(plain, replaced, traces_known=False)
    if found.strength != 2 or not knows_traces(plain) or knows_traces(replaced):
        return None
    return Switch(
        kind="switch",
        name="system",
        think=Recipe(),
        no_think=neutral,
        evidence="Without a system message the template writes one that asks for a trace; any other "
        f"system message takes its place ({found.why}); left out, the template does as for think.",
    )
