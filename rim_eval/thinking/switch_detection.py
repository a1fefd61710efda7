"""Switch detection: find a model's thinking switch by what its chat template does.

Variables that the template reads are given values, soft switches (`/no_think`) are put into messages,
and the rendered prompts are compared. Two prompts differ *concerning thinking* when one ends inside a
trace and the other does not, or when one asks for thinking and the other does not or forbids it.
Which of them is "think" is read from the prompts; the variable's own name says nothing, and neither
does the model's name, but for two families whose template cannot show their switch.
"""

import re
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.thinking.generation_prompt import (
    Difference,
    Tail,
    compare_prompts,
    is_about_thinking,
    marker_family,
    read_tail,
    unique_text,
)
from rim_eval.thinking.known import KNOWN
from rim_eval.thinking.recipe import Recipe, Switch
from rim_eval.thinking.switches import forced_empty_switch, model_card_switch, prompted_switch
from rim_eval.thinking.template import (
    PLAIN,
    Message,
    Renderer,
    TemplateReads,
    read_template,
    source_of,
)
from rim_eval.types import ArmKind

MAX_DETECTION_SECONDS: Final = 300.0
"""For all renderings together. Templates take a second, a server that renders over HTTP a minute."""

Place = Literal["template", "system", "user"]

_UNKNOWN_TEMPLATE: Final = TemplateReads(KNOWN.variables, {}, (), {}, KNOWN.soft_switches, "")
_NONSENSE: Final = "zqxvk"
"""A value that no template knows: one that prints it prints whatever it is given."""
_USER: Final = PLAIN[0]["content"]


class Candidate(NamedTuple):
    """A variable or a soft switch with two values that differ in how much thinking they ask for."""

    name: str
    place: Place
    difference: Difference
    think: Any
    no_think: Any


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
        always thinks; `prompted` for one that knows no traces.

    Raises:
        RimError: The template cannot be parsed, refuses even a plain user message, or takes more
            than `MAX_DETECTION_SECONDS` over all renderings.
    """
    source = source if source is not None else source_of(render)
    render = _until(time.monotonic() + MAX_DETECTION_SECONDS, render)
    reads = _UNKNOWN_TEMPLATE if source is None else read_template(source)
    plain = render(PLAIN, {})
    traces_known = bool(marker_family(reads.text) or marker_family(plain)) or source is None
    candidates = [
        *_variable_candidates(render, reads, plain, traces_known),
        *_soft_switch_candidates(render, reads, source, traces_known),
    ]
    best = max(candidates, key=lambda candidate: candidate.difference.strength, default=None)
    if best and best.difference.strength >= 2:
        return _switch_of(render, best, "switch")
    hidden = model_card_switch(model) or _default_instruction_switch(render, plain)
    if hidden:
        return hidden
    if best:
        return _switch_of(render, best, "effort")
    if read_tail(plain).state == "open" or (traces_known and source is not None):
        return forced_empty_switch(plain, reads.text)
    return prompted_switch(render)


class DetectionTimeoutError(RimError):
    """All renderings of a template together take too long."""


def _until(deadline: float, render: Renderer) -> Renderer:
    """A renderer that stops at a deadline: each rendering may be short enough, and hundreds not."""

    def bounded(messages: list[Message], template_kwargs: dict[str, Any]) -> str:
        if time.monotonic() > deadline:
            raise DetectionTimeoutError(
                "The chat template's switch was not found within "
                f"{MAX_DETECTION_SECONDS:g} s. Name it with -T switch=... "
                "(enable_thinking, system:/no_think, forced_empty, prompted)."
            )
        return render(messages, template_kwargs)

    return bounded


# ---- values to try ----

_LEVEL_VALUES: Final = ("high", "medium", "low", "none", "off", "on", "enabled", "disabled")
_NUMBERS: Final = (0, -1, 1024, 16384)
_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer", "ipython", "model"})


class Trials:
    """The prompt that each value renders; values that the template refuses are left out."""

    def __init__(self, render_value: Callable[[Any], str], values: Iterable[Any]) -> None:
        self._render_value = render_value
        attempts = ((value, self.render(value)) for value in values)
        self.prompts = [(value, prompt) for value, prompt in attempts if prompt is not None]

    def render(self, value: Any) -> str | None:
        """Return the prompt for a value, None where the template refuses it."""
        try:
            return self._render_value(value)
        except DetectionTimeoutError:
            raise
        except RimError:
            return None

    def groups(self) -> list[tuple[str, list[Any]]]:
        """Return each distinct prompt with its values, in the order in which they were tried."""
        groups: dict[str, list[Any]] = {}
        for value, prompt in self.prompts:
            groups.setdefault(prompt, []).append(value)
        return list(groups.items())

    def prints_values(self) -> bool:
        """Return whether the template prints the value that it is given."""
        nonsense = self.render(_NONSENSE)
        if nonsense is not None:
            return _NONSENSE in nonsense
        # It refuses unknown values; does it print those that it takes?
        texts = [(value, prompt) for value, prompt in self.prompts if value and type(value) is str]
        frames = {prompt.replace(value, "") for value, prompt in texts}
        return len(texts) > 1 and len(frames) == 1 and all(value in p for value, p in texts)


def _variable_candidates(
    render: Renderer, reads: TemplateReads, plain: str, traces_known: bool
) -> list[Candidate]:
    candidates: list[Candidate] = []
    for name in reads.variables:

        def render_value(value: Any, name: str = name) -> str:
            return render(PLAIN, {name: value})

        trials = Trials(render_value, _values_to_try(reads, name))
        if {prompt for _, prompt in trials.prompts} <= {plain}:
            continue
        printed = trials.prints_values()
        named = [value for value in reads.values.get(name, ()) if isinstance(value, str)]
        pair = _switching_pair(
            trials, plain, printed=printed, named=named, traces_known=traces_known
        ) or _degree_pair(trials, printed=printed, named=named)
        if pair:
            candidates.append(Candidate(name, "template", *pair))
    return candidates


def _values_to_try(reads: TemplateReads, name: str) -> list[Any]:
    """Values for a variable, those that fit the template's own use of it first."""
    own = list(reads.values.get(name, ()))
    kinds = {type(value) for value in own}
    truth, rest = [True, False], [*_LEVEL_VALUES, *reads.all_values]
    values: list[Any]
    if str in kinds and bool not in kinds:
        values = [*own, *rest, *truth, *_NUMBERS]
    elif int in kinds and bool not in kinds:
        values = [*own, *_NUMBERS, *truth, *rest]
    else:
        values = [*truth, *own, *_NUMBERS, *rest]
    fields = reads.fields.get(name, ())[:4]
    return _distinct([*({field: value} for field in fields for value in values[:16]), *values])


def _distinct(values: Iterable[Any]) -> list[Any]:
    """Each value once; 1 and True are two values."""
    return list({repr(value): value for value in values}.values())


def _soft_switch_candidates(
    render: Renderer, reads: TemplateReads, source: str | None, traces_known: bool
) -> list[Candidate]:
    common = [
        text
        for text in KNOWN.soft_switches
        # Not the end of a closing tag: `</think>` is no `/think`.
        if source is None or re.search(rf"(?<!<){re.escape(text)}", source)
    ]
    compared = [v for v in reads.all_values if isinstance(v, str) and v not in _ROLES]
    candidates: list[Candidate] = []
    for place in ("system", "user"):

        def render_text(text: str | None, place: Place = place) -> str:
            text = _NONSENSE if text is None else text
            recipe = _recipe(place, "", text)
            return render(recipe.messages(None, _USER), {}).replace(text, "")

        # None, no soft switch, comes after the named ones: where both do the same, the named is chosen.
        named = _distinct([*common, *reads.searched])
        every = Trials(render_text, [*named, None, *compared])
        believed = Trials(render_text, [*common, None])
        neutral = every.render(None)
        # Of texts that the template merely mentions only the prompt's tail is believed.
        pair = _switching_pair(
            every, neutral, printed=True, named=(), traces_known=traces_known
        ) or _switching_pair(believed, neutral, printed=False, named=(), traces_known=traces_known)
        if pair:
            candidates.append(Candidate(str(pair.no_think or pair.think), place, *pair))
    return candidates


# ---- which two values switch thinking ----

_LEVELS: Final = {name: level for level, names in enumerate(KNOWN.levels) for name in names}
"""Names of how much to think, in order; 0 is off."""

_EFFORT_LEVELS: Final = frozenset(KNOWN.efforts[1:])
_MOST_GROUPS: Final = 10
"""Distinct prompts that are compared with each other."""


class _Pair(NamedTuple):
    difference: Difference
    think: Any
    no_think: Any


def _switching_pair(
    trials: Trials,
    default: str | None,
    *,
    printed: bool,
    named: Collection[str],
    traces_known: bool,
) -> _Pair | None:
    """The two values that switch thinking on and off most plainly, or None.

    Args:
        trials: The values and their prompts.
        default: The prompt where nothing is given.
        printed: Whether the template merely prints the value. Then only a change of the prompt's tail
            is believed: printed text could replace anything, a default instruction to think, say.
        named: Texts that the template compares the value with.
        traces_known: Whether the template knows trace marks.
    """
    only_degree = bool(named) and set(named) <= _EFFORT_LEVELS
    groups = trials.groups()[:_MOST_GROUPS]
    best: tuple[float, int, int, _Pair] | None = None
    for i, (more, thinking) in enumerate(groups):
        for j, (less, quiet) in enumerate(groups):
            if i == j:
                continue
            difference = compare_prompts(more, less, traces_known=traces_known)
            doubtful = printed or (only_degree and not _shows_marks(more, less))
            if not difference.strength or (difference.strength < 3 and doubtful):
                continue
            # Among equals: the template's own default first, then the values tried first.
            key = (difference.strength, int(default in (more, less)), -(i + j))
            if best is None or key > best[:3]:
                best = (*key, _Pair(difference, _fitting(thinking, 1), _fitting(quiet, -1)))
    return best[3] if best else None


def _shows_marks(more: str, less: str) -> bool:
    in_more, in_less = unique_text(more, less)
    return bool(marker_family(in_more)) and not marker_family(in_less)


def _fitting(values: list[Any], sign: int) -> Any:
    """The first value, unless its name says the opposite of what it does and another's does not."""
    first = values[0]
    same_kind = (value for value in values if type(value) is type(first))
    return next((value for value in same_kind if _direction(value) != -sign), first)


def _direction(value: Any) -> int:
    """What a value's name says: 1 for more thinking, -1 for none, 0 for neither."""
    if isinstance(value, dict) and len(value) == 1:
        return _direction(next(iter(value.values())))
    if not isinstance(value, str):
        return 0
    if _LEVELS.get(value) == 0:
        return -1
    return int(value in _LEVELS or value in {"on", "enabled"})


def _degree_pair(trials: Trials, *, printed: bool, named: Collection[str]) -> _Pair | None:
    """Two values that ask for more and for less thinking; off only where the template names it."""
    names_effort = printed or not _EFFORT_LEVELS.isdisjoint(named)
    levels: list[tuple[int, Any]] = [
        (_LEVELS[value], value)
        for value, _ in trials.prompts
        if isinstance(value, str)
        and value in _LEVELS
        and value not in {"max", "xhigh"}
        and (value in named or (value in _EFFORT_LEVELS and names_effort))
    ]
    numbers: list[tuple[int, Any]] = [
        (v, v) for v, _ in trials.prompts if printed and type(v) is int and v > 0
    ]
    for scale in (levels, numbers):
        if len(scale) < 2:
            continue
        (_, low), *_, (_, high) = sorted(scale, key=lambda step: step[0])
        less, more = (trials.render(value) or "" for value in (low, high))
        unique = unique_text(more, less)
        same_tail = read_tail(more).state == read_tail(less).state
        if more != less and same_tail and any(map(is_about_thinking, unique)):
            texts = " or ".join(repr(" ".join(text.split())[:60]) for text in unique)
            strength = 2.0 if _LEVELS.get(low) == 0 else 1.0
            return _Pair(Difference(strength, f"the prompt says {texts}"), high, low)
    return None


# ---- the switch that a candidate makes ----


def _recipe(place: Place, name: str, value: Any) -> Recipe:
    if place != "template":
        return Recipe.model_validate({"user_suffix" if place == "user" else place: value})
    effort = value if name == "reasoning_effort" and isinstance(value, str) else None
    return Recipe(template_kwargs={name: value}, reasoning_effort=effort)


def _switch_of(render: Renderer, candidate: Candidate, kind: ArmKind) -> Switch:
    name, place, difference, *values = candidate
    recipes = [_recipe(place, name, value) for value in values]
    prompts = [recipe.prompt(render, _USER) for recipe in recipes]
    tails = [read_tail(prompt) for prompt in prompts]
    unset = render(PLAIN, {})
    default = "a third thing"
    for mode, prompt, tail, value in zip(
        ("think", "no-think"), prompts, tails, values, strict=True
    ):
        soft = place != "template" and value
        if prompt == unset or (soft and tail == read_tail(unset)):
            default = f"as for {mode}"
            break
    notes = _describe_limits(render, recipes)
    if tails[1] == Tail("closed") and "<|channel|>" not in prompts[1]:
        notes += (
            "; its empty trace has marks that no known family uses, so traces may not be split off"
        )
    think, no_think = (
        recipe.model_copy(update={"opened_by_prompt": tail.state == "open"})
        for recipe, tail in zip(recipes, tails, strict=True)
    )
    on, off = ("nothing" if value is None else repr(value) for value in values)
    where = "template variable" if place == "template" else f"text in the {place} message"
    return Switch(
        kind=kind,
        name=name if place == "template" else f"{place}:{name}",
        think=think,
        no_think=no_think,
        evidence=f"The {where} {name!r}: {on} (think) and {off} (no-think) were rendered; "
        f"{difference.reason}; left out, the template does {default}{notes}.",
    )


def _describe_limits(render: Renderer, recipes: list[Recipe]) -> str:
    """Where the switch has no effect: some templates drop it beside a system message."""
    limits = ""
    settings = ((_USER, "Be polite.", "beside a system message"), (_USER * 300, None, "with a long prompt"))  # fmt: skip
    for user, system, where in settings:
        try:
            prompts = {recipe.prompt(render, user, system=system) for recipe in recipes}
        except RimError:
            continue
        limits += f"; {where} it changes nothing" if len(prompts) == 1 else ""
    return limits


def _default_instruction_switch(render: Renderer, plain: str) -> Switch | None:
    """A template whose default system message asks for a trace: any other message turns it off."""
    neutral = Recipe(system="You are a helpful assistant.")
    try:
        replaced = neutral.prompt(render, _USER)
    except RimError:
        return None
    difference = compare_prompts(plain, replaced, traces_known=False)
    if difference.strength != 2 or not marker_family(plain) or marker_family(replaced):
        return None
    return Switch(
        kind="switch",
        name="system",
        think=Recipe(),
        no_think=neutral,
        evidence="Without a system message the template writes one that asks for a trace; any other "
        f"system message takes its place ({difference.reason}); left out, the template does as for think.",
    )
