"""Switch detection: find a model's thinking switch by what its chat template does.

Variables that the template reads are given values, soft switches (`/no_think`) are put into messages,
and the rendered prompts are compared. Two prompts differ *concerning thinking* when one ends inside a
trace and the other does not, or when only one shows trace marks or turns thinking off in so many words.
Which of them is "think" is read from the prompts. A variable's name is evidence only where it is about
thinking, its two values are opposites (true and false, on and off) and the prompts differ: a sentence
such as "Enable deep thinking subroutine." says little without the variable that writes it.
"""

import re
import time
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.thinking import switches
from rim_eval.thinking.generation_prompt import (
    Difference,
    Tail,
    compare_prompts,
    marker_family,
    read_tail,
    stance,
    unique_text,
)
from rim_eval.thinking.recipe import Recipe, Switch, message_recipe
from rim_eval.thinking.switches import SWITCH_TABLE
from rim_eval.thinking.template import (
    PLAIN,
    Renderer,
    TemplateReads,
    distinct,
    read_template,
    source_of,
)
from rim_eval.types import ArmKind

MAX_DETECTION_SECONDS: Final = 300.0
"""For all renderings together. Templates take a second, a server that renders over HTTP a minute."""

Place = Literal["template", "system", "user"]

_NONSENSE: Final = "zqxvk"
"""A value that no template compares with: one that prints it prints whatever it is given."""


class _Trial(NamedTuple):
    """One value of a template variable, or one text in a message, and the prompt that it makes."""

    name: str
    """The variable, or the text."""
    value: Any
    recipe: Recipe
    prompt: str

    @property
    def direction(self) -> int:
        """1 where name and value ask for thinking, -1 against it, 0 where they do not say."""
        value = self.value
        while isinstance(value, dict):
            (value,) = value.values()
        if isinstance(value, str):
            level = _LEVEL_OF.get(value)
            sign = 0 if level is None else 1 if level else -1
        else:
            sign = 1 if value else -1
        return sign * (self.topic or 1)

    @property
    def topic(self) -> int:
        """1 where the name is about thinking, -1 about leaving it out, 0 about other things."""
        fields, value = [self.name], self.value
        while isinstance(value, dict):
            ((field, value),) = value.items()
            fields.append(field)
        return stance(" ".join(fields))


class _Candidate(NamedTuple):
    """Two trials that differ in how much thinking they ask for."""

    difference: Difference
    place: Place
    think: _Trial
    no_think: _Trial


class _Search:
    """The template whose switch is searched for."""

    def __init__(self, render: Renderer, source: str | None) -> None:
        self.render = render
        self.source = source
        unknown = TemplateReads(dict.fromkeys(SWITCH_TABLE.variables, ()), {}, (), "")
        self.reads = unknown if source is None else read_template(source)
        self.plain = Recipe().prompt(render)
        """The prompt for a plain user message."""
        self._deadline = time.monotonic() + MAX_DETECTION_SECONDS

    def trial(self, name: str, value: Any, recipe: Recipe, text: str = "") -> _Trial | None:
        """Render a recipe without the text that it adds; None where the template refuses it."""
        # Each rendering may be short enough, and hundreds not.
        if time.monotonic() > self._deadline:
            raise RimError(
                "The chat template's switch was not found within "
                f"{MAX_DETECTION_SECONDS:g} s. Name it with -T switch=... "
                "(enable_thinking, system:/no_think, forced_empty, prompted)."
            )
        try:
            prompt = recipe.prompt(self.render)
        except RimError:
            return None
        return _Trial(name, value, recipe, prompt.replace(text, "") if text else prompt)

    def variable(self, name: str, value: Any) -> _Trial | None:
        """Render with one variable set."""
        effort = value if name == "reasoning_effort" and isinstance(value, str) else None
        recipe = Recipe(template_kwargs={name: value}, reasoning_effort=effort)
        return self.trial(name, value, recipe)


def find_switch(render: Renderer, *, source: str | None = None, model: str | None = None) -> Switch:
    """Find how a model's two modes are brought about.

    Args:
        render: Renders messages and template variables to a prompt (`template_renderer`,
            `tokenizer_renderer`).
        source: The chat template's text; by default the renderer's own, if it carries one. Without
            it only well-known variables and soft switches are tried.
        model: The model's name, used only for families whose template cannot show their switch.

    Returns:
        In this order of preference: a `switch`; `effort` levels; `forced_empty` for a model that
        always thinks; `prompted` for one that knows no traces, or whose prompt begins the answer.

    Raises:
        RimError: The template cannot be parsed, refuses even a plain user message, or takes more
            than `MAX_DETECTION_SECONDS` over all renderings.
    """
    search = _Search(render, source if source is not None else source_of(render))
    variables = {name: _variable_trials(search, name) for name in search.reads.variables}
    candidates = [*_variable_candidates(search, variables), *_message_candidates(search)]
    best = max(candidates, key=lambda one: one.difference.strength, default=None)
    best = best and _with_explicit_modes(search, best, variables)
    if best and best.difference.strength >= 2:
        return _build_switch(search, best, "switch")
    hidden = switches.model_card_switch(model) or _default_instruction_switch(search)
    if hidden:
        return hidden
    if best:
        return _build_switch(search, best, "effort")
    state, text = read_tail(search.plain).state, search.reads.text
    knows_traces = search.source is not None and marker_family(text + search.plain)
    if state == "open" or (state == "none" and knows_traces):
        return switches.forced_empty_switch(search.plain, text)
    return switches.prompted_switch(render)


# ---- which two trials switch thinking ----

_LEVEL_OF: Final = {name: i for i, names in enumerate(SWITCH_TABLE.levels) for name in names}
"""Names of how much to think, in order; 0 is off."""

_EFFORT_LEVELS: Final = frozenset(SWITCH_TABLE.efforts[1:])
_MAX_GROUPS: Final = 10
"""Distinct prompts that are compared with each other."""


def _switching_pair(
    trials: list[_Trial], default: str, place: Place, *, tails_only: bool
) -> _Candidate | None:
    """Return the two trials that switch thinking on and off most plainly, if any do.

    Args:
        trials: What was rendered.
        default: The prompt where nothing is given.
        place: Where the trials' values stand.
        tails_only: Whether only the prompt's end counts: a text that is merely printed could replace
            anything, a default instruction to think, say.
    """
    by_prompt: dict[str, list[_Trial]] = {}
    for trial in trials:
        by_prompt.setdefault(trial.prompt, []).append(trial)
    groups = list(enumerate(by_prompt.values()))[:_MAX_GROUPS]
    pairs = []
    for i, thinking in groups:
        for j, direct in groups:
            think, no_think = _fitting(thinking, 1), _fitting(direct, -1)
            pair = _compare(think, no_think, place)
            if pair.difference.strength >= (3 if tails_only else 1):
                # Among equals: the template's own default first, then the values tried first.
                named = default in (think.prompt, no_think.prompt)
                pairs.append(((pair.difference.strength, named, -(i + j)), pair))
    return max(pairs, key=lambda ranked: ranked[0])[1] if pairs else None


def _compare(think: _Trial, no_think: _Trial, place: Place) -> _Candidate:
    about_thinking = bool(think.topic and no_think.topic)
    opposites = think.direction == 1 and no_think.direction == -1
    difference = compare_prompts(
        think.prompt, no_think.prompt, is_named=about_thinking and opposites
    )
    only_mark = think.prompt.startswith(no_think.prompt.rstrip())
    if difference.strength == 3 and read_tail(think.prompt).state == "open":
        # A prompt without a trace may be for another task altogether, a verdict, say.
        difference = difference if only_mark or about_thinking else Difference(0, "")
    return _Candidate(difference, place, think, no_think)


def _fitting(trials: list[_Trial], direction: int) -> _Trial:
    """The first trial, unless its value says the opposite of what it does and another's does not."""
    first = trials[0]
    same_kind = (trial for trial in trials if type(trial.value) is type(first.value))
    return next((trial for trial in same_kind if trial.direction != -direction), first)


def _degree_pair(
    trials: list[_Trial], compared: tuple[Any, ...], *, printed: bool
) -> _Candidate | None:
    """Return two trials that ask for more and for less thinking; off only where it is named."""
    takes_efforts = printed or not _EFFORT_LEVELS.isdisjoint(compared)
    accepted = {*compared, *(_EFFORT_LEVELS if takes_efforts else ())} - {"max", "xhigh"}
    levels = [one for one in trials if one.value in accepted and one.value in _LEVEL_OF]
    numbers = [one for one in trials if printed and type(one.value) is int and one.value > 0]
    scales = (
        sorted(levels, key=lambda one: _LEVEL_OF[one.value]),
        sorted(numbers, key=lambda one: one.value),
    )
    for less, more in ((scale[0], scale[-1]) for scale in scales if scale):
        unique = unique_text(more.prompt, less.prompt)
        same_tail = read_tail(more.prompt).state == read_tail(less.prompt).state
        if same_tail and any(unique) and (more.topic or any(map(stance, unique))):
            quoted = " or ".join(repr(" ".join(text.split())[:60]) for text in unique)
            strength = 2.0 if _LEVEL_OF.get(less.value) == 0 else 1.0
            return _Candidate(
                Difference(strength, f"the prompt says {quoted}"), "template", more, less
            )
    return None


def _with_explicit_modes(
    search: _Search, best: _Candidate, variables: dict[str, list[_Trial]]
) -> _Candidate:
    """Return the pair of two variables where one alone leaves a mode to the model (HyperCLOVA X)."""
    if search.plain not in (best.think.prompt, best.no_think.prompt):
        return best
    flags = [one for trials in variables.values() for one in trials if one.value is True]
    explicit = [one for one in flags if one.topic and one.prompt != search.plain]
    think = [one for one in explicit if one.topic == 1]
    no_think = [one for one in explicit if one.topic == -1]
    pairs = [_compare(one, other, "template") for one in think for other in no_think]
    return max([*pairs, best], key=lambda one: one.difference.strength)


# ---- what to try: variables of the template, and texts in a message ----

_LEVEL_VALUES: Final = ("high", "medium", "low", "none", "off", "on", "enabled", "disabled")
_NUMBERS: Final = (0, -1, 1024, 16384)
_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer", "ipython", "model"})


def _variable_trials(search: _Search, name: str) -> list[_Trial]:
    """Try values for a variable, those of the types that the template compares it with first."""
    compared = search.reads.variables[name]
    types = {type(value) for value in compared} or {bool}
    common = (True, False, *_NUMBERS, *_LEVEL_VALUES)
    values = distinct([*compared, *common, *search.reads.constants])
    values = tuple(sorted(values, key=lambda value: type(value) not in types))
    nested = []
    for path in search.reads.fields.get(name, ()):
        for value in values[:16]:
            for field in reversed(path):
                value = {field: value}
            nested.append(value)
    return [trial for value in (*nested, *values) if (trial := search.variable(name, value))]


def _variable_candidates(
    search: _Search, variables: dict[str, list[_Trial]]
) -> Iterator[_Candidate]:
    for name, trials in variables.items():
        if {trial.prompt for trial in trials} <= {search.plain}:
            continue
        compared = search.reads.variables[name]
        levels = {_LEVEL_OF[value] for value in compared if value in _LEVEL_OF}
        only_degree = not _EFFORT_LEVELS.isdisjoint(compared) and 0 not in levels
        printed = _prints_values(search, name, trials)
        tails_only = printed or only_degree
        pair = _switching_pair(trials, search.plain, "template", tails_only=tails_only)
        pair = pair or _degree_pair(trials, compared, printed=printed)
        if pair:
            yield pair


def _prints_values(search: _Search, name: str, trials: list[_Trial]) -> bool:
    """Return whether the template prints the value that it is given."""
    nonsense = search.variable(name, _NONSENSE)
    if nonsense is not None:
        return _NONSENSE in nonsense.prompt
    # It refuses unknown values; does it print those that it takes?
    texts = [one for one in trials if one.value and type(one.value) is str]
    frames = {one.prompt.replace(one.value, "") for one in texts}
    return len(texts) > 1 and len(frames) == 1 and all(one.value in one.prompt for one in texts)


def _message_candidates(search: _Search) -> Iterator[_Candidate]:
    # Not the end of a closing tag: `</think>` is no `/think`.
    common = [
        text
        for text in SWITCH_TABLE.soft_switches
        if search.source is None or re.search(rf"(?<!<){re.escape(text)}", search.source)
    ]
    compared = [v for v in search.reads.constants if isinstance(v, str) and v not in _ROLES]
    places: tuple[Place, ...] = ("system", "user")
    for place in places:
        neutral = search.trial("", None, message_recipe(place, _NONSENSE), _NONSENSE)
        texts = [
            search.trial(text, text, message_recipe(place, text), text)
            for text in distinct([*common, *compared])
        ]
        # No text comes after the named ones: where both do the same, the named is chosen.
        trials = [trial for trial in (*texts, neutral) if trial]
        pair = neutral and _switching_pair(trials, neutral.prompt, place, tails_only=True)
        if pair:
            yield pair


# ---- the switch that a candidate makes ----


def _build_switch(search: _Search, candidate: _Candidate, kind: ArmKind) -> Switch:
    render, plain = search.render, search.plain
    difference, place, *trials = candidate
    recipes = [one.recipe if one.name else Recipe() for one in trials]
    prompts = [recipe.prompt(render) for recipe in recipes]
    tails = [read_tail(prompt) for prompt in prompts]
    think, no_think = (
        recipe.model_copy(update={"opened_by_prompt": tail.state == "open"})
        for recipe, tail in zip(recipes, tails, strict=True)
    )
    default = "a third thing"
    for mode, prompt, tail, trial in zip(
        ("no-think", "think"), prompts[::-1], tails[::-1], trials[::-1], strict=True
    ):
        soft = place != "template" and trial.name
        if prompt == plain or (soft and tail == read_tail(plain)):
            default = f"as for {mode}"
    notes = _describe_limits(render, recipes)
    if tails[1] == Tail("closed") and "<|channel|>" not in prompts[1]:
        notes += (
            "; its empty trace has marks that no known family uses, so traces may not be split off"
        )
    names = distinct(one.name for one in trials[::-1] if one.name)
    on, off = ("nothing" if one.value is None else repr(one.value) for one in trials)
    where = "template variable" if place == "template" else f"text in the {place} message"
    return Switch(
        kind=kind,
        name="/".join(names[::-1]) if place == "template" else f"{place}:{names[0]}",
        think=think,
        no_think=no_think,
        evidence=f"The {where} {' and '.join(map(repr, names))}: {on} (think) and {off} (no-think) were rendered; "
        f"{difference.reason}; left out, the template does {default}{notes}.",
    )


def _describe_limits(render: Renderer, recipes: list[Recipe]) -> str:
    """Where the switch has no effect: some templates drop it beside a system message."""
    limits = ""
    settings = ((PLAIN, "Be polite.", "beside a system message"), (PLAIN * 300, None, "with a long prompt"))  # fmt: skip
    for user, system, where in settings:
        try:
            prompts = {recipe.prompt(render, user, system=system) for recipe in recipes}
        except RimError:
            continue
        limits += f"; {where} it changes nothing" if len(prompts) == 1 else ""
    return limits


def _default_instruction_switch(search: _Search) -> Switch | None:
    """A template whose default system message asks for a trace: any other message turns it off."""
    neutral = Recipe(system="You are a helpful assistant.")
    try:
        replaced = neutral.prompt(search.render)
    except RimError:
        return None
    if not marker_family(search.plain) or marker_family(replaced):
        return None
    return Switch(
        kind="switch",
        name="system",
        think=Recipe(),
        no_think=neutral,
        evidence="Without a system message the template writes one that asks for a trace; any other "
        "system message takes its place; left out, the template does as for think.",
    )
