"""A word that was found to make a difference, as a switch: its two recipes and the evidence in a sentence."""

from typing import Any

from rim_eval.errors import RimError
from rim_eval.thinking._candidates import Candidate
from rim_eval.thinking._probe import LONG, PLAIN, WITH_SYSTEM
from rim_eval.thinking._reading import read_tail
from rim_eval.thinking._recipe import Recipe, Switch
from rim_eval.thinking._render import Renderer
from rim_eval.types import ArmKind

__all__ = ["describe"]


def describe(render: Renderer, candidate: Candidate, kind: ArmKind) -> Switch:
    finding = candidate.finding
    think = _recipe(render, candidate, finding.think)
    no_think = _recipe(render, candidate, finding.no_think)
    name = (
        candidate.word if candidate.place == "template" else f"{candidate.place}:{candidate.word}"
    )
    where = "template word" if candidate.place == "template" else f"{candidate.place} message word"
    values = (
        f"{_show(finding.think)} (think) and {_show(finding.no_think)} (no-think) were rendered"
    )
    evidence = (
        f"The {where} {candidate.word!r}: {values}; {finding.difference.why}; "
        f"{_default(render, think, no_think)}{_limits(render, think, no_think)}"
        f"{_unread_marks(render, no_think)}."
    )
    return Switch(kind=kind, name=name, think=think, no_think=no_think, evidence=evidence)


def _recipe(render: Renderer, candidate: Candidate, value: Any) -> Recipe:
    if candidate.place == "system":
        recipe = Recipe(system=value)
    elif candidate.place == "user":
        recipe = Recipe(user_suffix=value)
    else:
        effort = value if candidate.word == "reasoning_effort" and isinstance(value, str) else None
        recipe = Recipe(template_kwargs={candidate.word: value}, reasoning_effort=effort)
    opened = read_tail(recipe.prompt(render, PLAIN[0]["content"])).state == "open"
    return recipe.model_copy(update={"opened_by_prompt": opened})


def _show(value: Any) -> str:
    return "no word" if value is None else repr(value)


def _default(render: Renderer, think: Recipe, no_think: Recipe) -> str:
    user = PLAIN[0]["content"]
    unset = render(PLAIN, {})
    for recipe, mode in ((think, "think"), (no_think, "no-think")):
        prompt = recipe.prompt(render, user)
        soft = recipe.system or recipe.user_suffix
        if prompt == unset or (soft and read_tail(prompt) == read_tail(unset)):
            return f"left out, the template does as for {mode}"
    return "left out, the template does a third thing"


def _limits(render: Renderer, think: Recipe, no_think: Recipe) -> str:
    """What the switch does not reach: some templates drop it beside a system message."""
    user, system = PLAIN[0]["content"], WITH_SYSTEM[0]["content"]
    limits = []
    for text, beside, where in ((user, system, "beside a system message"), (LONG[0]["content"], None, "with a long prompt")):  # fmt: skip
        try:
            same = think.prompt(render, text, system=beside) == no_think.prompt(render, text, system=beside)  # fmt: skip
        except RimError:
            continue
        if same:
            limits.append(f"; {where} it changes nothing")
    return "".join(limits)


def _unread_marks(render: Renderer, no_think: Recipe) -> str:
    prompt = no_think.prompt(render, PLAIN[0]["content"])
    tail = read_tail(prompt)
    if tail.state == "closed" and tail.family is None and "<|channel|>" not in prompt:
        return (
            "; its empty trace has marks that no known family uses, so traces may not be split off"
        )
    return ""
