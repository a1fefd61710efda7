"""Switches that no template shows: named by the user, hosted models, model cards, and fallbacks.

The fallbacks serve models that have no switch: an empty trace written for the model
(`forced_empty`), or a request for a trace in the prompt (`prompted`).
"""

import re
from typing import Any, Final, NoReturn

from rim_eval.errors import RimError
from rim_eval.thinking.generation_prompt import marker_family, read_tail
from rim_eval.thinking.known import KNOWN
from rim_eval.thinking.markers import FAMILIES, tail_marks
from rim_eval.thinking.recipe import Recipe, Switch, require_difference
from rim_eval.thinking.template import PLAIN, Renderer, source_of

_USER: Final = PLAIN[0]["content"]


# ---- named by the user ----

_COUNTERPARTS: Final = {
    "/no_think": "/think",
    "/nothink": "/think",
    "detailed thinking off": "detailed thinking on",
}
_FORMS: Final = (
    "a template variable that is true for think and false for no-think (enable_thinking), "
    "a variable with its two values, think first (thinking_budget=-1/0, skip_reasoning=false/true), "
    "system: or user: with the no-think text (system:/no_think) or both, think first "
    "(system:detailed thinking on|detailed thinking off), effort:low,high, forced_empty, prompted"
)


def explicit_switch(spec: str, *, render: Renderer | None = None) -> Switch:
    """Return the switch that a user names.

    Args:
        spec: One of `variable`, `variable=THINK/NO_THINK`, `system:NO_THINK`,
            `system:THINK|NO_THINK`, `user:…` alike, `effort:LOW,HIGH`, `forced_empty`, `prompted`.
        render: The model's renderer. With it the switch is checked to change the prompt, and open
            traces and prefills are read from the prompt; without it they are the usual ones.

    Raises:
        RimError: The text has none of these forms, or the named switch changes nothing.
    """
    switch = _parse(spec.strip(), render)
    if render is None or switch.kind == "prompted":
        return switch
    if not switch.name.startswith("effort:"):
        require_difference(render, switch)
    recipes = {
        mode: recipe.model_copy(
            update={"opened_by_prompt": read_tail(recipe.prompt(render, _USER)).state == "open"}
        )
        for mode, recipe in (("think", switch.think), ("no_think", switch.no_think))
    }
    return switch.model_copy(update=recipes)


def _parse(spec: str, render: Renderer | None) -> Switch:
    if spec == "prompted":
        return prompted_switch(render)
    if spec == "forced_empty":
        plain, source = (render(PLAIN, {}), source_of(render) or "") if render else ("", "")
        return forced_empty_switch(plain, source)
    place, colon, rest = spec.partition(":")
    if colon and place in ("system", "user"):
        return _message_switch(spec, place, rest)
    if colon and place == "effort":
        off, comma, on = (level.strip() for level in rest.partition(","))
        if not comma or not {off, on} <= set(KNOWN.efforts):
            _refuse(spec, f"effort takes two of {', '.join(KNOWN.efforts)}")
        return effort_switch(off=off, on=on)
    return _variable_switch(spec)


def _refuse(spec: str, reason: str) -> NoReturn:
    raise RimError(f"The switch {spec!r} cannot be read: {reason}. Give {_FORMS}.")


def _message_switch(spec: str, place: str, rest: str) -> Switch:
    think, bar, no_think = (part.strip() for part in rest.partition("|"))
    if not bar:
        think, no_think = _COUNTERPARTS.get(think, ""), think
    if not no_think:
        _refuse(spec, "the no-think text is missing")
    field = "system" if place == "system" else "user_suffix"
    return Switch(
        kind="switch",
        name=f"{place}:{no_think}",
        think=Recipe.model_validate({field: think or None}),
        no_think=Recipe.model_validate({field: no_think}),
        evidence=f"Named by the user: {spec!r}; {think or 'no text'!r} asks for think.",
    )


def _variable_switch(spec: str) -> Switch:
    name, equals, values = (part.strip() for part in spec.partition("="))
    if not re.fullmatch(r"[A-Za-z_]\w{0,63}", name, re.ASCII):
        _refuse(spec, f"{name!r} is no template variable")
    think, slash, no_think = (values if equals else "true/false").partition("/")
    if not slash:
        _refuse(spec, "two values are needed, think first, with a slash between")
    on, off = _value(spec, think), _value(spec, no_think)
    if (type(on), on) == (type(off), off):
        _refuse(spec, "both values are the same")
    return Switch(
        kind="switch",
        name=name,
        think=Recipe(template_kwargs={name: on}),
        no_think=Recipe(template_kwargs={name: off}),
        evidence=f"Named by the user: the template variable {name!r}, {on!r} for think, "
        f"{off!r} for no-think.",
    )


def _value(spec: str, text: str) -> Any:
    text = text.strip()
    if text.lower() in {"", "none", "null", "~"}:
        # A template that asks `is defined` takes None for a value.
        given = text or "an empty value"
        _refuse(spec, f"{given!r} is no explicit value (quote it, 'none', if it is a text)")
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d{1,9}", text):
        return int(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


_SOFT_SWITCH: Final = re.compile(r"(?<!\S)/no_?think(?!\S)", re.IGNORECASE)


def has_inline_switch(render: Renderer, recipe: Recipe, text: str) -> bool:
    """Return whether a user prompt itself switches the mode that a recipe asks for.

    Some templates look for soft switches (`/no_think`) in user messages, and some models obey
    them there although their template does not look. Both count; the second only where the
    prompt leaves the trace to the model.

    Args:
        render: The model's renderer.
        recipe: The recipe of the mode.
        text: The user prompt.
    """
    expected = read_tail(recipe.prompt(render, _USER)).state
    actual = read_tail(recipe.prompt(render, text)).state
    return expected != actual or (expected == "none" and bool(_SOFT_SWITCH.search(text)))


# ---- reasoning effort ----


def effort_switch(off: str = "low", on: str = "high") -> Switch:
    """Return arms by reasoning effort: a dose, never called off.

    Args:
        off: Effort of the no-think arm.
        on: Effort of the think arm.

    Raises:
        RimError: A level is unknown, or the no-think arm's is not the lower one.
    """
    for name, level in (("off", off), ("on", on)):
        if level not in KNOWN.efforts:
            raise RimError(
                f"{name}={level!r} is no effort; give one of {', '.join(KNOWN.efforts)}."
            )
    if KNOWN.efforts.index(off) >= KNOWN.efforts.index(on):
        raise RimError(f"The no-think effort {off!r} must be lower than the think effort {on!r}.")
    return Switch(
        kind="effort",
        name=f"effort:{off},{on}",
        think=Recipe(reasoning_effort=on),
        no_think=Recipe(reasoning_effort=off),
        evidence=f"Reasoning effort {on} against {off}: more and less thinking, not on and off.",
    )


def hosted_switch(provider: str, model: str) -> Switch:
    """Return a hosted model's arms: `switch` only where its lowest effort really is off.

    Args:
        provider: Inspect's provider name (`openai`, `anthropic`, `google`, ...). `openrouter` and
            alike pass the effort on, so that the model's own maker decides: `openrouter/openai/gpt-5`.
        model: The model's name, with or without its maker before a slash.

    Raises:
        RimError: Provider or model is empty.
    """
    if not provider.strip() or not model.strip():
        raise RimError(
            f"A hosted switch needs a provider and a model; got {provider!r} and {model!r}. "
            "Give them as in openai/gpt-5.1."
        )
    *makers, name = model.lower().strip().split("/")
    maker = makers[-1] if makers else provider.lower().strip()
    rules = (r for r in KNOWN.hosted if r.provider == maker and re.match(r.model, name))
    rule = next(rules, None)
    if rule is None:
        switch = effort_switch("low", "high")
        reason = f"{provider}/{model} is not in the table of hosted models"
        return switch.model_copy(update={"evidence": f"{reason}: {switch.evidence}"})
    return effort_switch(rule.lowest, "high").model_copy(
        update={
            "kind": "switch" if rule.is_off and not makers else "effort",
            "name": "reasoning_effort",
            "evidence": f"{provider}/{model} by reasoning effort, {rule.lowest} against high ({rule.source}).",
        }
    )


# ---- model cards ----


def model_card_switch(model: str | None) -> Switch | None:
    """Return the switch that a model's card names and its template does not show."""
    for card in KNOWN.model_cards:
        if model and re.search(card.model, model, re.IGNORECASE):
            return Switch(
                kind="switch",
                name=f"system:{card.no_think}",
                think=Recipe(system=card.think),
                no_think=Recipe(system=card.no_think),
                evidence=f"The template of {model} shows no switch; its model card names the system texts "
                f"{card.think!r} and {card.no_think!r}, which the template prints as they are.",
            )
    return None


# ---- fallbacks for models without a switch ----

TRACE_REQUEST: Final = (
    "Reason step by step before you answer. Write the whole reasoning between <think> and </think>, "
    "then give your answer after the closing tag."
)
"""Asks a model that knows no traces for one, in marks that the splitter reads."""

DIRECT_REQUEST: Final = "Answer at once. Write the answer only, with no reasoning before it."
"""The other arm's request: of the same kind, so that the arms differ in what is asked."""


def forced_empty_switch(plain: str, template_text: str) -> Switch:
    """Return the arms of a model that always thinks: no-think starts after an empty trace.

    Args:
        plain: Its rendered prompt for a plain user message.
        template_text: Everything its template could write, which shows its marks, and how it
            writes an empty trace.
    """
    tail = read_tail(plain)
    opened = tail.state == "open"
    family = tail.family or marker_family(plain) or marker_family(template_text) or FAMILIES[0]
    opening, closing = re.escape(family.opened_with), re.escape(family.closed_with)
    own = re.search(rf"{opening}\n*{closing}\n{{0,2}}", template_text)
    if opened and tail.family is None:
        prefill = "<|end|><|start|>assistant<|channel|>final<|message|>"
    elif family.phrase:
        prefill = ("\n" if opened else "") + f"{family.closed_with}\n"
    elif opened:
        # With the line breaks that the prompt began.
        breaks = "\n" if plain[tail_marks(plain)[-1].end :] else "\n\n"
        prefill = f"{breaks}{family.closed_with}\n\n"
    else:
        prefill = own[0] if own else f"{family.opened_with}\n\n{family.closed_with}\n\n"
    reason = (
        f"its prompt always ends inside an open trace ({family.opened_with})"
        if opened
        else f"it knows traces ({family.opened_with}) and nothing that it reads turns them off"
    )
    return Switch(
        kind="forced_empty",
        name="forced_empty",
        think=Recipe(opened_by_prompt=opened),
        no_think=Recipe(prefill=prefill),
        evidence=f"The template has no switch: {reason}. The no-think arm begins after an empty trace "
        f"written for the model ({prefill!r}); a model with a switch that its template does not show "
        "needs it named (for example system:/no_think).",
    )


def prompted_switch(render: Renderer | None = None) -> Switch:
    """Return the arms of a model that knows no traces: both ask in words, one for a trace.

    The request is a system message where the template prints one, else the end of the user message.
    """
    place = "system"
    try:
        if render and TRACE_REQUEST not in Recipe(system=TRACE_REQUEST).prompt(render, _USER):
            place = "user_suffix"
    except RimError:
        place = "user_suffix"
    return Switch(
        kind="prompted",
        name="prompted",
        think=Recipe.model_validate({place: TRACE_REQUEST}),
        no_think=Recipe.model_validate({place: DIRECT_REQUEST}),
        evidence="The template knows no trace and no switch, so the modes are asked for in the "
        f"{'system message' if place == 'system' else 'user message'}; by default the model "
        "answers as it likes.",
    )
