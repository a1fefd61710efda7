"""Switches that no chat template shows.

A switch is named by the user, or taken from the table of hosted models and model cards
(`switches.toml`). Models without one get a fallback: an empty trace written for the model
(`forced_empty`), or a request in the prompt for a trace between tags (`prompted`) or for reasoning
before a marked answer (`chain_of_thought`).
"""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError, SettingError
from rim_eval.thinking.budget_forcing import TraceMarks, trace_marks
from rim_eval.thinking.chain_of_thought import chain_of_thought_switch
from rim_eval.thinking.generation_prompt import marker_family, read_tail
from rim_eval.thinking.markers import FAMILIES, tail_marks
from rim_eval.thinking.recipe import Recipe, Switch, message_recipe, require_difference
from rim_eval.thinking.template import Renderer, source_of
from rim_eval.types import ASKED_IN_WORDS, FrozenModel


class HostedModels(FrozenModel):
    """How thinking is turned on and off on some hosted models."""

    route: str
    model: str
    switch: str
    source: str


class SwitchTable(FrozenModel):
    """The content of `switches.toml`, which says what each entry is."""

    variables: tuple[str, ...]
    soft_switches: tuple[str, ...]
    efforts: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    hosted: tuple[HostedModels, ...]
    families: dict[str, str]
    pinned: dict[str, str]
    no_body: tuple[str, ...]


SWITCH_TABLE: Final = SwitchTable.model_validate(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
)


def effort_switch(off: str = "low", on: str = "high") -> Switch:
    """Return arms by reasoning effort: a dose, never called off.

    Args:
        off: Effort of the no-think arm.
        on: Effort of the think arm.

    Raises:
        RimError: A level is unknown, or the no-think arm's is not the lower one.
    """
    efforts = SWITCH_TABLE.efforts
    if not {off, on} <= set(efforts) or efforts.index(off) >= efforts.index(on):
        raise RimError(
            f"effort:{off},{on} names no pair of efforts: give two of {', '.join(efforts)}, the lower one "
            "(no-think) first."
        )
    return Switch(
        kind="effort",
        name=f"effort:{off},{on}",
        think=effort_recipe(on),
        no_think=effort_recipe(off),
        evidence=f"Reasoning effort {on} against {off}: more and less thinking, not on and off.",
    )


def effort_recipe(effort: str) -> Recipe:
    """Return how an effort is asked for.

    Args:
        effort: A level of the switch table.
    """
    return Recipe(reasoning_effort=effort)


def hosted_switch(route: str, model: str) -> Switch | None:
    """Return a hosted model's arms: `switch` only where its thinking really can be turned off.

    Args:
        route: Inspect's provider name (`openai`, `openrouter`, ...), `openai-api/` and the service, or
            `weights` for what the model obeys and its chat template does not show.
        model: The model's name on this route, such as `gpt-5.1` or `qwen/qwen3-32b`.

    Returns:
        None for weights and servers of one's own whose model the table lacks.
    """
    evidence, route, model = f"{route}/{model}", route.lower(), model.lower()
    if route == "hf-inference-providers":
        model, _, host = model.partition(":")
        if pinned := SWITCH_TABLE.pinned.get(host):
            return hosted_switch(pinned, model) or hosted_switch(route, model)
    for models in SWITCH_TABLE.hosted:
        names = models.model.format_map(SWITCH_TABLE.families)
        if re.fullmatch(models.route, route) and re.search(rf"(?:^|[/.])(?:{names})", model):
            switch = _parse_spec(models.switch, None)
            # The table goes down to `none` only where that is off.
            off = switch.no_think.reasoning_effort == "none"
            evidence += f" by {models.switch} ({models.source})."
            changes = {"kind": "switch" if off else switch.kind, "evidence": evidence}
            return switch.model_copy(update=changes)
    return None


def sends_fields(provider: str) -> bool:
    """Return whether a provider of Inspect sends fields of one's own, and with them template words."""
    return provider not in SWITCH_TABLE.no_body


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
    "(system:detailed thinking on|detailed thinking off), body: with a field of the request and its two "
    "values, think first (body:reasoning.enabled=true/false), effort:low,high, forced_empty, prompted, "
    "chain_of_thought"
)


def explicit_switch(spec: str, *, render: Renderer | None = None) -> Switch:
    """Return the switch that a user names.

    Args:
        spec: One of the forms of `_FORMS`.
        render: The model's renderer. With it the switch is checked to change the prompt, and open
            traces and prefills are read from the prompt; without it they are the usual ones.

    Raises:
        RimError: The text has none of these forms, or the named switch changes nothing.
    """
    spec = spec.strip()
    try:
        switch = _parse_spec(spec, render)
    except ValueError as error:
        raise RimError(f"The switch {spec!r} cannot be read: {error}. Give {_FORMS}.") from None
    if render is None or switch.kind in ASKED_IN_WORDS or switch.think.body:
        return switch
    if switch.kind != "effort":
        require_difference(render, switch)
    think, no_think = switch.think.read_opening(render), switch.no_think.read_opening(render)
    return switch.model_copy(update={"think": think, "no_think": no_think})


def _parse_spec(spec: str, render: Renderer | None) -> Switch:
    match spec.partition(":"):
        case ("prompted", "", ""):
            return prompted_switch(render)
        case ("chain_of_thought", "", ""):
            return chain_of_thought_switch()
        case ("forced_empty", "", ""):
            plain, source = (Recipe().prompt(render), source_of(render)) if render else ("", None)
            return forced_empty_switch(plain, source or "")
        case ("effort", ":", levels):
            off, _, on = levels.partition(",")
            return effort_switch(off.strip(), on.strip())
        case ("system" | "user" as place, ":", texts):
            think, bar, no_think = (part.strip() for part in texts.partition("|"))
            if not bar:
                think, no_think = _COUNTERPARTS.get(think, ""), think
            if not no_think:
                raise ValueError("the no-think text is missing")
            evidence = f"Named by the user: {spec!r}; {think or 'no text'!r} asks for think."
            return Switch(
                kind="switch",
                name=f"{place}:{no_think}",
                think=message_recipe(place, think or None),
                no_think=message_recipe(place, no_think),
                evidence=evidence,
            )
        case ("body", ":", field):
            path, on, off = _two_values(field, r"[A-Za-z_]\w*(?:\.\w+)*", _value)
            name = f"body:{path}"
            think_recipe, no_think_recipe = (
                Recipe(body=_nested(path, value)) for value in (on, off)
            )
        case _:
            name, on, off = _two_values(spec, r"[A-Za-z_]\w{0,63}", _template_value)
            think_recipe, no_think_recipe = (
                Recipe(template_kwargs={name: value}) for value in (on, off)
            )
    return Switch(
        kind="switch",
        name=name,
        think=think_recipe,
        no_think=no_think_recipe,
        evidence=f"Named by the user: {spec!r}, {on!r} for think, {off!r} for no-think.",
    )


def _two_values(spec: str, names: str, read: Callable[[str], Any]) -> tuple[str, Any, Any]:
    """A name, which must match a pattern, and its values for think and no-think."""
    name, equals, values = (part.strip() for part in spec.partition("="))
    if not re.fullmatch(names, name, re.ASCII):
        raise ValueError(f"{name!r} is no name of a template variable or field")
    think, slash, no_think = (values if equals else "true/false").partition("/")
    if not slash:
        raise ValueError("two values are needed, think first, with a slash between")
    on, off = read(think.strip()), read(no_think.strip())
    if (type(on), on) == (type(off), off):
        raise ValueError("both values are the same")
    return name, on, off


def _nested(path: str, value: Any) -> dict[str, Any]:
    first, dot, rest = path.partition(".")
    return {first: _nested(rest, value) if dot else value}


def _template_value(text: str) -> Any:
    if text.lower() in {"", "none", "null", "~"}:
        # A template that asks `is defined` takes None for a value.
        raise ValueError(
            f"{text or 'an empty value'!r} is no explicit value (quote it, 'none', if it is a text)"
        )
    return _value(text)


def _value(text: str) -> Any:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if re.fullmatch(r"[+-]?\d{1,9}", text):
        return int(text)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


# ---- fallbacks for models without a switch ----

_TRACE_REQUEST: Final = (
    "Reason step by step before you answer. Write the whole reasoning between <think> and </think>, "
    "then give your answer after the closing tag."
)
_DIRECT_REQUEST: Final = "Answer at once. Write the answer only, with no reasoning before it."


def forced_empty_switch(plain: str, template_text: str) -> Switch:
    """Return the arms of a model that always thinks: no-think starts after an empty trace.

    Args:
        plain: Its rendered prompt for a plain user message.
        template_text: Everything its template could write, which shows its marks, and how it
            writes an empty trace.

    Raises:
        RimError: The prompt ends inside a trace of a family whose empty trace is not known.
    """
    tail = read_tail(plain)
    opened, text = tail.state == "open", plain + template_text
    family = tail.family or marker_family(plain) or marker_family(template_text) or FAMILIES[0]
    shown, closed_with = family.opened_with, re.escape(family.closed_with)
    empty_trace = re.search(rf"{re.escape(shown)}\n*{closed_with}\n{{0,2}}", template_text)
    if "<|channel|>" in text and "<|start|>" in text:
        marks = trace_marks(plain, text) or ()
        shown, prefill = "<|channel|>analysis", "".join(marks)
    elif opened and tail.family is None:
        raise SettingError(
            "The prompt always ends inside a trace, and how its family closes one is not known. Measure the think "
            "mode alone, or name the switch",
            switch="system:/no_think",
        )
    elif family.phrase:
        prefill = ("\n" if opened else "") + f"{family.closed_with}\n"
    elif opened:
        # With the line breaks that the prompt began.
        breaks = "\n" if plain[tail_marks(plain)[-1].end :] else "\n\n"
        prefill = f"{breaks}{family.closed_with}\n\n"
    elif empty_trace:
        prefill = empty_trace[0]
    else:
        prefill = f"{family.opened_with}\n\n{family.closed_with}\n\n"
    reason = (
        f"its prompt always ends inside an open trace ({shown})"
        if opened
        else f"it knows traces ({shown}) and nothing that it reads turns them off"
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


def forced_empty_recipe(think: Recipe, marks: TraceMarks) -> Recipe:
    """Return how the no-think mode is asked for by an empty trace, of a model that has a switch of its own.

    Args:
        think: The recipe of its think mode.
        marks: How its traces are marked after that recipe's prompt.
    """
    prefill = (think.prefill or "") + marks.opening + marks.closing
    return think.model_copy(update={"prefill": prefill, "opened_by_prompt": False})


def prompted_switch(render: Renderer | None = None) -> Switch:
    """Return the arms of a model that knows no traces: both ask in words, one for a trace.

    The request is a system message where the template prints one, else the end of the user message.
    """
    place = "system"
    try:
        if render and _TRACE_REQUEST not in Recipe(system=_TRACE_REQUEST).prompt(render):
            place = "user"
    except RimError:
        place = "user"
    return Switch(
        kind="prompted",
        name="prompted",
        think=message_recipe(place, _TRACE_REQUEST),
        no_think=message_recipe(place, _DIRECT_REQUEST),
        evidence=f"The template knows no trace and no switch, so the modes are asked for in the {place} "
        "message; by default the model answers as it likes.",
    )
