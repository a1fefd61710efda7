"""Find a model's thinking switch by what its chat template does, never by the model's name alone.

Words that the template reads are given values, soft switches are put into messages, and the
rendered prompts are compared. Two prompts differ *concerning thinking* when one ends inside a
trace and the other does not, or when one asks for thinking and the other does not or forbids it.
Which of them is "think" is read from the prompts; the word's own name says nothing.
"""

import re
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.outcomes import ArmKind
from rim_eval.thinking._arms import forced_empty, prompted
from rim_eval.thinking._probe import (
    LONG,
    PLAIN,
    SENTINEL,
    WITH_SYSTEM,
    Finding,
    Trials,
    best_pair,
    degree_pair,
    probe,
)
from rim_eval.thinking._reading import compare, knows_traces, read_tail
from rim_eval.thinking._recipe import Recipe, Switch
from rim_eval.thinking._render import Renderer, source_of
from rim_eval.thinking._words import KNOWN_SOFT, KNOWN_WORDS, TemplateWords, read_words

__all__ = ["find_switch", "prompt_flips_mode"]

_LEVEL_VALUES: Final = ("high", "medium", "low", "none", "off", "on", "enabled", "disabled")
_NUMBERS: Final = (0, -1, 1024, 16384)
_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer", "ipython", "model"})
_UNKNOWN: Final = TemplateWords(KNOWN_WORDS, {}, (), frozenset(), {}, KNOWN_SOFT, "")

_UNSEEN_SWITCHES: Final = (
    # The template prints the system message and knows nothing of the words that the weights obey.
    (
        r"nemotron.*(nano|super|ultra).*v1(?![._]?\d)",
        "detailed thinking on",
        "detailed thinking off",
    ),
)
"""Model names whose switch no template shows (NVIDIA's model cards), with the system words."""


class _Candidate(NamedTuple):
    finding: Finding
    word: str
    place: str
    """`template`, `system` or `user`."""


def find_switch(render: Renderer, *, source: str | None = None, model: str | None = None) -> Switch:
    """Find how a model's two modes are brought about.

    Args:
        render: Renders messages and template words to a prompt (`template_renderer`, `tokenizer_renderer`).
        source: The chat template's text; by default the renderer's own, if it carries one. Without
            it only well-known words are tried.
        model: The model's name, used only for families whose template cannot show their switch.

    Returns:
        In this order of preference: a `switch`; `effort` levels; `forced_empty` for a model that
        always thinks; `prompted` for one that knows no traces.

    Raises:
        RimError: The template cannot be parsed, or refuses even a plain user message.
    """
    source = source if source is not None else source_of(render)
    words = _UNKNOWN if source is None else read_words(source)
    plain = render(PLAIN, {})
    traces_known = bool(knows_traces(words.text) or knows_traces(plain)) or source is None
    candidates = [
        *_template_candidates(render, words, traces_known),
        *_soft_candidates(render, words, traces_known, known_text=source),
    ]
    chosen = max(candidates, key=lambda found: found.finding.difference.strength, default=None)
    if chosen and chosen.finding.difference.strength >= 2:
        return _describe(render, chosen, "switch")
    unseen = _unseen(model) or _default_instruction(render, plain)
    if unseen:
        return unseen
    if chosen:
        return _describe(render, chosen, "effort")
    if read_tail(plain).state == "open" or (traces_known and source is not None):
        return forced_empty(plain, words.text)
    return prompted(render)


def _template_candidates(
    render: Renderer, words: TemplateWords, traces_known: bool
) -> list[_Candidate]:
    default = probe(render, PLAIN, {})
    found: list[_Candidate] = []
    for word in words.words:
        direct = words.direct.get(word, ())

        def rendered(value: Any, word: str = word) -> str:
            return render(PLAIN, {word: value})

        trials = Trials(rendered, _values(words, word))
        if len({*trials.prompts, default}) < 2:
            continue
        echo = trials.of(SENTINEL)
        echoed = (echo is not None and SENTINEL in echo) or (echo is None and _prints(trials))
        pair = best_pair(
            trials, default, echoed=echoed, direct=direct, traces_known=traces_known
        ) or degree_pair(trials, echoed=echoed, direct=direct)
        if pair:
            found.append(_Candidate(pair, word, "template"))
    return found


def _prints(trials: Trials) -> bool:
    """Whether a template that refuses unknown values prints the ones it takes."""
    texts = [(value, prompt) for value, prompt in trials.values if isinstance(value, str) and value]
    frames = {prompt.replace(value, "") for value, prompt in texts if value in prompt}
    return len(texts) > 1 and len(frames) == 1 and all(value in prompt for value, prompt in texts)


def _values(words: TemplateWords, word: str) -> list[Any]:
    """Values to try for a word, those that fit the template's own use of it first."""
    direct = [value for value in words.direct.get(word, ()) if value != ""]
    kinds = {type(value) for value in direct}
    bools: tuple[Any, ...] = (True, False)
    rest: tuple[Any, ...] = (*_LEVEL_VALUES, *words.shared)
    if bool in kinds or word in words.flags:
        values = [*bools, *direct, *_NUMBERS, *rest]
    elif str in kinds:
        values = [*direct, *rest, *bools, *_NUMBERS]
    elif int in kinds:
        values = [*direct, *_NUMBERS, *bools, *rest]
    else:
        values = [*bools, *_NUMBERS, *rest]
    fields = [f for f in words.fields.get(word, ()) if not hasattr(str, f) and f != "get"]
    nested = [{field: value} for field in fields[:4] for value in values[:16]]
    return _distinct([*nested, *values])


def _distinct(values: list[Any]) -> list[Any]:
    kept: dict[str, Any] = {}
    for value in values:
        kept.setdefault(repr(value), value)
    return list(kept.values())


def _soft_candidates(
    render: Renderer, words: TemplateWords, traces_known: bool, *, known_text: str | None
) -> list[_Candidate]:
    soft = [
        word
        for word in KNOWN_SOFT
        # Not the end of a closing tag: `</think>` is no `/think`.
        if known_text is None or re.search(rf"(?<!<){re.escape(word)}", known_text)
    ]
    sought = [*words.soft, *(v for v in words.shared if isinstance(v, str) and v not in _ROLES)]
    found: list[_Candidate] = []
    for place in ("system", "user"):

        def rendered(word: str | None, place: str = place) -> str:
            said = SENTINEL if word is None else word
            recipe = Recipe(system=said) if place == "system" else Recipe(user_suffix=said)
            return render(recipe.messages(None, "Name a river."), {}).replace(said, "")

        # None, no soft switch, follows the words: a named one is chosen where both do the same.
        every = Trials(rendered, [*_distinct([*soft, *words.soft]), None, *_distinct(sought)])
        known = Trials(rendered, [*soft, None])
        # Of words that the template merely mentions only the prompt's tail is believed.
        pair = best_pair(
            every, every.of(None), echoed=True, direct=(), traces_known=traces_known
        ) or best_pair(known, known.of(None), echoed=False, direct=(), traces_known=traces_known)
        if pair:
            found.append(_Candidate(pair, str(pair.no_think or pair.think), place))
    return found


def _recipe(render: Renderer, candidate: _Candidate, value: Any) -> Recipe:
    if candidate.place == "system":
        recipe = Recipe(system=value)
    elif candidate.place == "user":
        recipe = Recipe(user_suffix=value)
    else:
        effort = value if candidate.word == "reasoning_effort" and isinstance(value, str) else None
        recipe = Recipe(template_kwargs={candidate.word: value}, reasoning_effort=effort)
    opened = read_tail(recipe.prompt(render, PLAIN[0]["content"])).state == "open"
    return recipe.model_copy(update={"opened_by_prompt": opened})


def _describe(render: Renderer, candidate: _Candidate, kind: ArmKind) -> Switch:
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


def _unseen(model: str | None) -> Switch | None:
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
