"""Switch detection: find a model's thinking switch by what its chat template does.

Variables that the template reads are given values, soft switches (`/no_think`) are put into messages,
and the rendered prompts are compared. They differ *concerning thinking* when only one ends inside a
trace, shows trace marks or turns thinking off in so many words. Other sentences count where the name of
the variable that writes them is about thinking and its values are opposites (true and false, on and off).
"""

import re
import time
from functools import reduce
from itertools import chain, product
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError, SettingError
from rim_eval.thinking import switches
from rim_eval.thinking.generation_prompt import (
    Difference,
    compare_prompts,
    describe_texts,
    has_unknown_empty_trace,
    marker_family,
    read_tail,
    stance,
    unique_text,
)
from rim_eval.thinking.recipe import Recipe, Switch, message_recipe
from rim_eval.thinking.switches import SWITCH_TABLE
from rim_eval.thinking.template import (
    Renderer,
    TemplateReads,
    distinct,
    read_template,
    source_of,
)
from rim_eval.types import ArmKind

MAX_DETECTION_SECONDS: Final = 300.0
"""For all renderings together. Templates take a second, a server that renders over HTTP a minute."""

_NONSENSE: Final = "zqxvk"
"""A value that no template compares with: one that prints it prints whatever it is given."""


class _Trial(NamedTuple):
    """One value of a template variable, or one text in a message, and the prompt that it makes."""

    name: str
    """The variable, with a mapping's fields after dots, or the text."""
    value: Any
    recipe: Recipe
    prompt: str

    @property
    def direction(self) -> int:
        """1 where name and value ask for thinking, -1 against it, 0 where they do not say."""
        level = _LEVEL_OF.get(self.value) if isinstance(self.value, str) else bool(self.value)
        return 0 if level is None else (1 if level else -1) * (stance(self.name) or 1)


class _Candidate(NamedTuple):
    """Two trials that differ in how much thinking they ask for."""

    difference: Difference
    think: _Trial
    no_think: _Trial
    default: str
    """The prompt where nothing is given."""


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

    def trial(self, name: str, value: Any, recipe: Recipe, added: str = "") -> list[_Trial]:
        """Render a recipe without the text that it adds; nothing comes where the template refuses it."""
        # Each rendering may be short enough, and hundreds not.
        if time.monotonic() > self._deadline:
            raise SettingError(
                "The chat template's switch was not found within "
                f"{MAX_DETECTION_SECONDS:g} s. Name it (enable_thinking, system:/no_think, forced_empty, prompted)",
                switch="enable_thinking",
            )
        try:
            prompt = recipe.prompt(self.render)
        except RimError:
            return []
        return [_Trial(name, value, recipe, prompt.replace(added, "") if added else prompt)]

    def variable(self, path: tuple[str, ...], value: Any) -> list[_Trial]:
        """Set a variable, or a field of one that is a mapping."""
        nested_value = reduce(lambda inner, field: {field: inner}, path[:0:-1], value)
        effort = value if path == ("reasoning_effort",) and value in SWITCH_TABLE.efforts else None
        recipe = Recipe(template_kwargs={path[0]: nested_value}, reasoning_effort=effort)
        return self.trial(".".join(path), value, recipe)


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
    trials = {name: _variable_trials(search, name) for name in search.reads.variables}
    candidates = [
        *(_variable_candidate(search, name, trials[name]) for name in trials),
        *(_message_candidate(search, place) for place in ("system", "user")),
    ]
    best = max(filter(None, candidates), key=lambda one: one.difference.strength, default=None)
    best = best and _with_explicit_modes(search, best, [*chain(*trials.values())])
    if best and best.difference.strength >= 2:
        return _build_switch(search, best, "switch")
    on_card = switches.hosted_switch("weights", model or "")
    hidden = on_card or _default_instruction_switch(search)
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


def _switching_pair(trials: list[_Trial], default: str, *, tails_only: bool) -> _Candidate | None:
    """Return the two trials that switch thinking on and off most plainly, if any do.

    Args:
        trials: What was rendered.
        default: The prompt where nothing is given.
        tails_only: Whether only the prompt's end counts: a text that is merely printed could replace
            anything, a default instruction to think, say.
    """
    by_prompt: dict[str, list[_Trial]] = {}
    for trial in trials:
        by_prompt.setdefault(trial.prompt, []).append(trial)
    groups = list(by_prompt.values())[:_MAX_GROUPS]
    pairs = [
        _compare(_fitting(more, 1), _fitting(less, -1), default)
        for more, less in product(groups, groups)
    ]
    # Among equals: of texts those that both modes have of their own, of tails the template's own default.
    pairs.sort(
        key=lambda pair: (
            (default in (pair.think.prompt, pair.no_think.prompt))
            == (pair.difference.strength == 2)
        )
    )
    best = max(pairs, key=lambda pair: pair.difference.strength, default=None)
    return best if best and best.difference.strength >= (3 if tails_only else 1) else None


def _compare(think: _Trial, no_think: _Trial, default: str) -> _Candidate:
    about_thinking = bool(stance(think.name) and stance(no_think.name))
    is_named = about_thinking and (think.direction, no_think.direction) == (1, -1)
    difference = compare_prompts(think.prompt, no_think.prompt, is_named=is_named)
    only_mark = think.prompt.startswith(no_think.prompt.rstrip())
    if difference.strength == 3 and read_tail(think.prompt).state == "open":
        # A prompt without a trace may be for another task altogether, a verdict, say.
        difference = difference if only_mark or about_thinking else Difference(0, "")
    is_message_text = no_think.name == no_think.value
    if is_message_text and has_unknown_empty_trace(no_think.prompt) and not about_thinking:
        difference = Difference(0, "")  # an empty tag that a text in a message brings about
    return _Candidate(difference, think, no_think, default)


def _fitting(trials: list[_Trial], direction: int) -> _Trial:
    """The first trial, unless its value says the opposite of what it does and another's does not."""
    first = trials[0]
    if direction == 1 and first.value in _EFFORT_LEVELS:  # a default, "medium", may do the same
        return next((trial for trial in trials if trial.value == "high"), first)
    same_kind = (trial for trial in trials if type(trial.value) is type(first.value))
    return next((trial for trial in same_kind if trial.direction != -direction), first)


_OPPOSITES: Final = (("off", "on"), ("disabled", "enabled"))
_MANNER: Final = re.compile(r"lang|locale|style|format|tone")
"""In the name of a variable that says how, not how much, to think."""


def _degree_pair(search: _Search, name: str, trials: list[_Trial]) -> _Candidate | None:
    """Return two trials that ask for more and for less thinking; off only where it is named."""
    compared = {value for value in search.reads.variables[name] if isinstance(value, str)}
    opposites = next((pair for pair in _OPPOSITES if compared and compared <= {*pair}), ())
    if not opposites and (compared.isdisjoint(_LEVEL_OF) if compared else _MANNER.search(name)):
        return None  # a language, say
    named = {*compared, "low", "medium", "high"} - {"max", "xhigh"}
    ranks = {word: rank for rank, word in enumerate(opposites)} or {
        word: rank for word, rank in _LEVEL_OF.items() if word in named
    }
    levels = {
        ranks[one.value]: one
        for one in trials[::-1]
        if isinstance(one.value, str) and one.value in ranks
    }
    budgets = {one.value: one for one in trials if type(one.value) is int and one.value > 0}
    for scale in filter(None, (levels, budgets)):
        more, less = scale[max(scale)], scale[min(scale)]
        unique = unique_text(more.prompt, less.prompt)
        same_tail = read_tail(more.prompt).state == read_tail(less.prompt).state
        if same_tail and any(unique) and (stance(name) or any(map(stance, unique))):
            difference = Difference(1.0 if min(scale) else 2.0, describe_texts(*unique))
            return _Candidate(difference, more, less, search.plain)
    return None


def _with_explicit_modes(search: _Search, best: _Candidate, trials: list[_Trial]) -> _Candidate:
    """Return the pair of two variables where one alone leaves a mode to the model (HyperCLOVA X)."""
    if search.plain not in (best.think.prompt, best.no_think.prompt):
        return best
    flags = [one for one in trials if one.value is True and one.prompt != search.plain]
    pairs = [
        _compare(think, no_think, search.plain)
        for think, no_think in product(flags, flags)
        if (stance(think.name), stance(no_think.name)) == (1, -1)
    ]
    return max([*pairs, best], key=lambda pair: pair.difference.strength)


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
    fields = [(name, *path) for path in search.reads.fields.get(name, ())]
    nested = chain(*(search.variable(path, value) for path in fields for value in values[:16]))
    return [*nested, *chain(*(search.variable((name,), value) for value in values))]


def _variable_candidate(search: _Search, name: str, trials: list[_Trial]) -> _Candidate | None:
    if {trial.prompt for trial in trials} <= {search.plain}:
        return None
    compared = search.reads.variables[name]
    has_off = any(_LEVEL_OF.get(value) == 0 for value in compared)
    only_degree = not _EFFORT_LEVELS.isdisjoint(compared) and not has_off
    tails_only = only_degree or _prints_values(search, name, trials)
    pair = _switching_pair(trials, search.plain, tails_only=tails_only)
    return pair or _degree_pair(search, name, trials)


def _prints_values(search: _Search, name: str, trials: list[_Trial]) -> bool:
    """Return whether the template prints the value that it is given."""
    for nonsense in search.variable((name,), _NONSENSE):
        return _NONSENSE in nonsense.prompt
    # It refuses unknown values; does it print those that it takes?
    texts = [one for one in trials if one.value and type(one.value) is str]
    frames = {one.prompt.replace(one.value, "") for one in texts}
    return len(texts) > 1 and len(frames) == 1 and all(one.value in one.prompt for one in texts)


def _message_candidate(search: _Search, place: str) -> _Candidate | None:
    # Not the end of a closing tag: `</think>` is no `/think`.
    common = [
        text
        for text in SWITCH_TABLE.soft_switches
        if search.source is None or re.search(rf"(?<!<){re.escape(text)}", search.source)
    ]
    compared = [v for v in search.reads.constants if isinstance(v, str) and v not in _ROLES]
    trials = [
        trial
        for text in distinct([*common, *compared, _NONSENSE])
        for trial in search.trial(text, text, message_recipe(place, text), text)
    ]
    if not trials or trials[-1].name != _NONSENSE:
        return None
    # No text comes after the named ones: where both do the same, the named is chosen.
    nothing = _Trial("", None, Recipe(), trials.pop().prompt)
    return _switching_pair([*trials, nothing], nothing.prompt, tails_only=True)


# ---- the switch that a candidate makes ----


def _build_switch(search: _Search, candidate: _Candidate, kind: ArmKind) -> Switch:
    trials = (candidate.think, candidate.no_think)
    think, no_think = (trial.recipe.read_opening(search.render) for trial in trials)
    default = {candidate.no_think.prompt: "as for no-think", candidate.think.prompt: "as for think"}
    left_out = default.get(candidate.default, "a third thing")
    notes = _describe_limits(search.render, [think, no_think])
    if has_unknown_empty_trace(candidate.no_think.prompt):
        notes += "; its empty trace has marks that no known family uses"
    place = "system" if think.system or no_think.system else "user"
    in_template = think.template_kwargs or no_think.template_kwargs
    where = "template variable" if in_template else f"text in the {place} message"
    names = distinct(trial.name.split(".")[0] if in_template else trial.name for trial in trials)
    name = "/".join(names) if in_template else f"{place}:{names[-1] or names[0]}"
    on, off = ("nothing" if trial.value is None else repr(trial.value) for trial in trials)
    return Switch(
        kind=kind,
        name=name,
        think=think,
        no_think=no_think,
        evidence=f"The {where} {name!r}: {on} (think) and {off} (no-think) were rendered; "
        f"{candidate.difference.reason}; left out, the template does {left_out}{notes}.",
    )


def _describe_limits(render: Renderer, recipes: list[Recipe]) -> str:
    """Some templates drop the switch beside a system message."""
    try:
        prompts = {recipe.prompt(render, system="Be polite.") for recipe in recipes}
    except RimError:
        return ""
    return "; beside a system message it changes nothing" if len(prompts) == 1 else ""


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
