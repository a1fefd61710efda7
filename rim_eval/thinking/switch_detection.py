"""Switch detection: find a model's thinking switch by what its chat template does.

Variables that the template reads are given values, soft switches (`/no_think`) are put into messages,
and the rendered prompts are compared. Two prompts differ *concerning thinking* when one ends inside a
trace and the other does not, or when one asks for thinking and the other does not or forbids it.
Which of them is "think" is read from the prompts; the variable's own name says nothing, and neither
does the model's name, but for families whose template cannot show their switch.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError, SettingError
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

_UNKNOWN_TEMPLATE: Final = TemplateReads(
    SWITCH_TABLE.variables, {}, (), {}, SWITCH_TABLE.soft_switches, ""
)
_NONSENSE: Final = "zqxvk"
"""A value that no template compares with: one that prints it prints whatever it is given."""

_Pair = tuple[Difference, Any, Any]
"""How the prompts of two values differ, the think value and the no-think value."""


class _Candidate(NamedTuple):
    """A variable or a soft switch with two values that differ in how much thinking they ask for."""

    name: str
    place: Place
    difference: Difference
    think: Any
    no_think: Any


class _Template(NamedTuple):
    """The template whose switch is searched for."""

    render: Renderer
    source: str | None
    reads: TemplateReads
    plain: str
    """The prompt for a plain user message."""
    traces_known: bool
    deadline: float
    """End of the search: each rendering may be short enough, and hundreds not."""


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
    deadline = time.monotonic() + MAX_DETECTION_SECONDS
    source = source if source is not None else source_of(render)
    reads = _UNKNOWN_TEMPLATE if source is None else read_template(source)
    plain = Recipe().prompt(render)
    traces_known = bool(marker_family(reads.text) or marker_family(plain)) or source is None
    template = _Template(render, source, reads, plain, traces_known, deadline)
    candidates = [*_variable_candidates(template), *_soft_switch_candidates(template)]
    best = max(candidates, key=lambda one: one.difference.strength, default=None)
    if best and best.difference.strength >= 2:
        return _build_switch(template, best, "switch")
    hidden = switches.model_card_switch(model) or _default_instruction_switch(render, plain)
    if hidden:
        return hidden
    if best:
        return _build_switch(template, best, "effort")
    if read_tail(plain).state == "open" or (traces_known and source is not None):
        return switches.forced_empty_switch(plain, reads.text)
    return switches.prompted_switch(render)


# ---- which two values switch thinking ----

_LEVEL_OF: Final = {name: i for i, names in enumerate(SWITCH_TABLE.levels) for name in names}
"""Names of how much to think, in order; 0 is off."""

_EFFORT_LEVELS: Final = frozenset(SWITCH_TABLE.efforts[1:])
_MAX_GROUPS: Final = 10
"""Distinct prompts that are compared with each other."""


@dataclass
class _Trials:
    """The prompt that each value renders; values that the template refuses are left out."""

    template: _Template
    render_value: Callable[[Any], str]
    values: Iterable[Any]
    named: tuple[str, ...] = ()
    """Texts that the template compares the value with."""

    def __post_init__(self) -> None:
        attempts = ((value, self.render(value)) for value in self.values)
        self.prompts = [(value, prompt) for value, prompt in attempts if prompt is not None]

    def render(self, value: Any) -> str | None:
        """Return the prompt for a value, None where the template refuses it."""
        if time.monotonic() > self.template.deadline:
            raise SettingError(
                "The chat template's switch was not found within "
                f"{MAX_DETECTION_SECONDS:g} s. Name it (enable_thinking, system:/no_think, forced_empty, prompted)",
                switch="enable_thinking",
            )
        try:
            return self.render_value(value)
        except RimError:
            return None

    def prints_values(self) -> bool:
        """Return whether the template prints the value that it is given."""
        nonsense = self.render(_NONSENSE)
        if nonsense is not None:
            return _NONSENSE in nonsense
        # It refuses unknown values; does it print those that it takes?
        texts = [(value, prompt) for value, prompt in self.prompts if value and type(value) is str]
        frames = {prompt.replace(value, "") for value, prompt in texts}
        return len(texts) > 1 and len(frames) == 1 and all(value in p for value, p in texts)

    def switching_pair(self, default: str | None, *, printed: bool) -> _Pair | None:
        """Return the two values that switch thinking on and off most plainly, if any do.

        Args:
            default: The prompt where nothing is given.
            printed: Whether the template merely prints the value. Then only a change of the prompt's
                tail counts: printed text could replace anything, a default instruction to think, say.
        """
        only_degree = bool(self.named) and set(self.named) <= _EFFORT_LEVELS
        values_of: dict[str, list[Any]] = {}
        for value, prompt in self.prompts:
            values_of.setdefault(prompt, []).append(value)
        groups = list(enumerate(values_of.items()))[:_MAX_GROUPS]
        pairs: list[tuple[tuple[float, bool, int], _Pair]] = []
        for i, (more, thinking) in groups:
            for j, (less, direct) in groups:
                difference = compare_prompts(more, less, traces_known=self.template.traces_known)
                doubtful = printed or (only_degree and not _shows_marks(more, less))
                if difference.strength >= (3 if doubtful else 1):
                    # Among equals: the template's own default first, then the values tried first.
                    rank = (difference.strength, default in (more, less), -(i + j))
                    pair = (difference, _fitting(thinking, 1), _fitting(direct, -1))
                    pairs.append((rank, pair))
        return max(pairs, key=lambda ranked: ranked[0])[1] if pairs else None

    def degree_pair(self, *, printed: bool) -> _Pair | None:
        """Return two values that ask for more and for less thinking; off only where it is named."""
        takes_efforts = printed or not _EFFORT_LEVELS.isdisjoint(self.named)
        accepted = {*self.named, *(_EFFORT_LEVELS if takes_efforts else ())} - {"max", "xhigh"}
        values = [value for value, _ in self.prompts]
        texts = [v for v in values if isinstance(v, str) and v in accepted and v in _LEVEL_OF]
        numbers = [v for v in values if printed and type(v) is int and v > 0]
        for scale in (sorted(texts, key=_LEVEL_OF.__getitem__), sorted(numbers)):
            if len(scale) < 2:
                continue
            low, high = scale[0], scale[-1]
            less, more = (self.render(value) or "" for value in (low, high))
            unique = unique_text(more, less)
            same_tail = read_tail(more).state == read_tail(less).state
            if more != less and same_tail and any(map(stance, unique)):
                quoted = " or ".join(repr(" ".join(text.split())[:60]) for text in unique)
                strength = 2.0 if _direction(low) < 0 else 1.0
                return Difference(strength, f"the prompt says {quoted}"), high, low
        return None


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
    if _LEVEL_OF.get(value) == 0:
        return -1
    return int(value in _LEVEL_OF or value in {"on", "enabled"})


# ---- what to try: variables of the template, and texts in a message ----

_LEVEL_VALUES: Final = ("high", "medium", "low", "none", "off", "on", "enabled", "disabled")
_NUMBERS: Final = (0, -1, 1024, 16384)
_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer", "ipython", "model"})


def _variable_candidates(template: _Template) -> Iterable[_Candidate]:
    render, _, reads, plain, *_ = template
    for name in reads.variables:

        def render_value(value: Any, name: str = name) -> str:
            return _recipe("template", name, value).prompt(render)

        named = tuple(value for value in reads.values.get(name, ()) if isinstance(value, str))
        trials = _Trials(template, render_value, _values_to_try(reads, name), named)
        if {prompt for _, prompt in trials.prompts} <= {plain}:
            continue
        printed = trials.prints_values()
        pair = trials.switching_pair(plain, printed=printed) or trials.degree_pair(printed=printed)
        if pair:
            yield _Candidate(name, "template", *pair)


def _values_to_try(reads: TemplateReads, name: str) -> tuple[Any, ...]:
    """Values for a variable, those that fit the template's own use of it first."""
    compared = reads.values.get(name, ())
    kinds = {type(value) for value in compared}
    truth, others = (True, False), (*_LEVEL_VALUES, *reads.all_values)
    values: tuple[Any, ...]
    if str in kinds and bool not in kinds:
        values = (*compared, *others, *truth, *_NUMBERS)
    elif int in kinds and bool not in kinds:
        values = (*compared, *_NUMBERS, *truth, *others)
    else:
        values = (*truth, *compared, *_NUMBERS, *others)
    fields = reads.fields.get(name, ())[:4]
    return distinct([*({field: value} for field in fields for value in values[:16]), *values])


def _soft_switch_candidates(template: _Template) -> Iterable[_Candidate]:
    render, source, reads, *_ = template
    common = [
        text
        for text in SWITCH_TABLE.soft_switches
        # Not the end of a closing tag: `</think>` is no `/think`.
        if source is None or re.search(rf"(?<!<){re.escape(text)}", source)
    ]
    compared = [v for v in reads.all_values if isinstance(v, str) and v not in _ROLES]
    places: tuple[Place, ...] = ("system", "user")
    for place in places:

        def render_text(text: str | None, place: Place = place) -> str:
            text = _NONSENSE if text is None else text
            return message_recipe(place, text).prompt(render).replace(text, "")

        # None, no soft switch, comes after the named ones: where both do the same, the named is chosen.
        texts = [*distinct([*common, *reads.searched]), None, *compared]
        trials = _Trials(template, render_text, texts)
        neutral = trials.render(None)
        # Of texts that the template merely mentions only the prompt's tail counts.
        pair = trials.switching_pair(neutral, printed=True) or _Trials(
            template, render_text, [*common, None]
        ).switching_pair(neutral, printed=False)
        if pair:
            _, think, no_think = pair
            yield _Candidate(str(no_think or think), place, *pair)


# ---- the switch that a candidate makes ----


def _recipe(place: Place, name: str, value: Any) -> Recipe:
    if place != "template":
        return message_recipe(place, value)
    effort = value if name == "reasoning_effort" and isinstance(value, str) else None
    return Recipe(template_kwargs={name: value}, reasoning_effort=effort)


def _build_switch(template: _Template, candidate: _Candidate, kind: ArmKind) -> Switch:
    render, plain = template.render, template.plain
    name, place, difference, *values = candidate
    recipes = [_recipe(place, name, value) for value in values]
    prompts = [recipe.prompt(render) for recipe in recipes]
    tails = [read_tail(prompt) for prompt in prompts]
    think, no_think = (
        recipe.model_copy(update={"opened_by_prompt": tail.state == "open"})
        for recipe, tail in zip(recipes, tails, strict=True)
    )
    default = "a third thing"
    for mode, prompt, tail, value in zip(
        ("no-think", "think"), prompts[::-1], tails[::-1], values[::-1], strict=True
    ):
        soft = place != "template" and value
        if prompt == plain or (soft and tail == read_tail(plain)):
            default = f"as for {mode}"
    notes = _describe_limits(render, recipes)
    if tails[1] == Tail("closed") and "<|channel|>" not in prompts[1]:
        notes += (
            "; its empty trace has marks that no known family uses, so traces may not be split off"
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
    settings = ((PLAIN, "Be polite.", "beside a system message"), (PLAIN * 300, None, "with a long prompt"))  # fmt: skip
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
        replaced = neutral.prompt(render)
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
