"""A switch named by the user, where the model's own template cannot be asked or is not believed."""

import re
from typing import Any, Final, NoReturn

from rim_eval.errors import RimError
from rim_eval.thinking._arms import forced_empty, prompted
from rim_eval.thinking._probe import PLAIN
from rim_eval.thinking._reading import read_tail
from rim_eval.thinking._recipe import Recipe, Switch, require_difference
from rim_eval.thinking._render import Renderer, source_of

__all__ = ["EFFORTS", "effort_switch", "explicit_switch"]

EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Levels of `reasoning_effort`, from none to most."""

_COUNTERPARTS: Final = {
    "/no_think": "/think",
    "/nothink": "/think",
    "detailed thinking off": "detailed thinking on",
}
_FORMS: Final = (
    "a template word that is true for think and false for no-think (enable_thinking), "
    "a word with its two values, think first (thinking_budget=-1/0, skip_reasoning=false/true), "
    "system: or user: with the no-think word (system:/no_think) or both, think first "
    "(system:detailed thinking on|detailed thinking off), effort:low,high, forced_empty, prompted"
)


def explicit_switch(spec: str, *, render: Renderer | None = None) -> Switch:
    """The switch that a user names.

    Args:
        spec: One of `word`, `word=THINK/NO_THINK`, `system:NO_THINK`, `system:THINK|NO_THINK`,
            `user:…` alike, `effort:LOW,HIGH`, `forced_empty`, `prompted`.
        render: The model's renderer. With it the switch is checked to change the prompt, and open
            traces and prefills are read from the prompt; without it they are the usual ones.

    Raises:
        RimError: The text has none of these forms, or the named switch changes nothing.
    """
    switch = _parsed(spec.strip(), render)
    if render is None or switch.kind == "prompted":
        return switch
    if not switch.name.startswith("effort:"):
        require_difference(render, switch)
    user = PLAIN[0]["content"]
    arms = {
        mode: recipe.model_copy(
            update={"opened_by_prompt": read_tail(recipe.prompt(render, user)).state == "open"}
        )
        for mode, recipe in (("think", switch.think), ("no_think", switch.no_think))
    }
    return switch.model_copy(update=arms)


def _parsed(spec: str, render: Renderer | None) -> Switch:
    if spec == "prompted":
        return prompted(render)
    if spec == "forced_empty":
        plain, written = (render(PLAIN, {}), source_of(render) or "") if render else ("", "")
        return forced_empty(plain, written)
    place, colon, rest = spec.partition(":")
    if colon and place in ("system", "user"):
        return _soft(spec, place, rest)
    if colon and place == "effort":
        return _effort(spec, rest)
    return _word(spec)


def _refuse(spec: str, why: str) -> NoReturn:
    raise RimError(f"The switch {spec!r} cannot be read: {why}. Give {_FORMS}.")


def _soft(spec: str, place: str, rest: str) -> Switch:
    think, bar, no_think = (part.strip() for part in rest.partition("|"))
    if not bar:
        think, no_think = _COUNTERPARTS.get(think, ""), think
    if not no_think:
        _refuse(spec, "the no-think word is missing")
    field = "system" if place == "system" else "user_suffix"
    return Switch(
        kind="switch",
        name=f"{place}:{no_think}",
        think=Recipe.model_validate({field: think or None}),
        no_think=Recipe.model_validate({field: no_think}),
        evidence=f"Named by the user: {spec!r}; {think or 'no word'!r} asks for think.",
    )


def _effort(spec: str, rest: str) -> Switch:
    levels = [level.strip() for level in rest.split(",")]
    if len(levels) != 2 or not all(level in EFFORTS for level in levels):
        _refuse(spec, f"effort takes two of {', '.join(EFFORTS)}")
    return effort_switch(off=levels[0], on=levels[1])


def effort_switch(off: str = "low", on: str = "high") -> Switch:
    """Arms by reasoning effort: a dose, never called off.

    Args:
        off: Effort of the no-think arm.
        on: Effort of the think arm.

    Raises:
        RimError: A level is unknown, or the no-think arm's is not the lower one.
    """
    for name, level in (("off", off), ("on", on)):
        if level not in EFFORTS:
            raise RimError(f"{name}={level!r} is no effort; give one of {', '.join(EFFORTS)}.")
    if EFFORTS.index(off) >= EFFORTS.index(on):
        raise RimError(f"The no-think effort {off!r} must be lower than the think effort {on!r}.")
    return Switch(
        kind="effort",
        name=f"effort:{off},{on}",
        think=Recipe(reasoning_effort=on),
        no_think=Recipe(reasoning_effort=off),
        evidence=f"Reasoning effort {on} against {off}: more and less thinking, not on and off.",
    )


def _word(spec: str) -> Switch:
    word, equals, values = (part.strip() for part in spec.partition("="))
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", word, re.ASCII):
        _refuse(spec, f"{word!r} is no template word")
    think, slash, no_think = (values if equals else "true/false").partition("/")
    if not slash:
        _refuse(spec, "two values are needed, think first, with a slash between")
    on, off = _value(spec, think), _value(spec, no_think)
    if (type(on), on) == (type(off), off):
        _refuse(spec, "both values are the same")
    return Switch(
        kind="switch",
        name=word,
        think=Recipe(template_kwargs={word: on}),
        no_think=Recipe(template_kwargs={word: off}),
        evidence=f"Named by the user: the template word {word!r}, {on!r} for think, {off!r} for no-think.",
    )


def _value(spec: str, text: str) -> Any:
    text = text.strip()
    if text.lower() in {"", "none", "null", "~"} and not text.startswith("'"):
        # A template that asks `is defined` takes None for a value.
        _refuse(
            spec,
            f"{text or 'an empty value'!r} is no explicit value (quote it, 'none', if it is a word)",
        )
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d{1,9}", text):
        return int(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text
