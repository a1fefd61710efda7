"""Words that may turn thinking on and off, each tried on the template: template words and soft switches."""

import re
from typing import Any, Final, NamedTuple

from rim_eval.thinking._probe import PLAIN, SENTINEL, Finding, Trials, best_pair, degree_pair, probe
from rim_eval.thinking._recipe import Recipe
from rim_eval.thinking._render import Renderer
from rim_eval.thinking._words import KNOWN_SOFT, TemplateWords

__all__ = ["Candidate", "soft_candidates", "template_candidates"]

_LEVEL_VALUES: Final = ("high", "medium", "low", "none", "off", "on", "enabled", "disabled")
_NUMBERS: Final = (0, -1, 1024, 16384)
_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer", "ipython", "model"})


class Candidate(NamedTuple):
    """A word that makes a difference, and where it stands."""

    finding: Finding
    word: str
    place: str
    """`template`, `system` or `user`."""


def template_candidates(
    render: Renderer, words: TemplateWords, traces_known: bool
) -> list[Candidate]:
    default = probe(render, PLAIN, {})
    found: list[Candidate] = []
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
            found.append(Candidate(pair, word, "template"))
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


def soft_candidates(
    render: Renderer, words: TemplateWords, traces_known: bool, *, known_text: str | None
) -> list[Candidate]:
    soft = [
        word
        for word in KNOWN_SOFT
        # Not the end of a closing tag: `</think>` is no `/think`.
        if known_text is None or re.search(rf"(?<!<){re.escape(word)}", known_text)
    ]
    sought = [*words.soft, *(v for v in words.shared if isinstance(v, str) and v not in _ROLES)]
    found: list[Candidate] = []
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
            found.append(Candidate(pair, str(pair.no_think or pair.think), place))
    return found
