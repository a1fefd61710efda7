"""Try values of one thing (a template word, a soft switch) and see what each does to the prompt."""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.thinking._reading import (
    LEVELS,
    OFF_LEVELS,
    Difference,
    compare,
    is_about_thinking,
    knows_traces,
    read_tail,
    unique_text,
)
from rim_eval.thinking._render import Message, Renderer

__all__ = [
    "LONG",
    "PLAIN",
    "SENTINEL",
    "WITH_SYSTEM",
    "Finding",
    "Trials",
    "best_pair",
    "degree_pair",
]

SENTINEL: Final = "zqxvk"
"""A word that no template knows."""
PLAIN: Final[list[Message]] = [{"role": "user", "content": "Name a river."}]
WITH_SYSTEM: Final[list[Message]] = [{"role": "system", "content": "Be polite."}, *PLAIN]
LONG: Final[list[Message]] = [{"role": "user", "content": "Name a river, please. " * 200}]

_PURE_EFFORT: Final = frozenset({"minimal", "low", "medium", "high", "xhigh", "max"})
_MOST_GROUPS: Final = 10


class Finding(NamedTuple):
    """Two values that differ in how much thinking they ask for."""

    difference: Difference
    think: Any
    no_think: Any


class Trials:
    """What each value renders; values that the template refuses are left out."""

    def __init__(self, render: Callable[[Any], str], values: Iterable[Any]) -> None:
        self._render = render
        self.prompts: dict[str, list[Any]] = {}
        """Each distinct prompt, with the values that render it in the order they were tried."""
        self.values: list[tuple[Any, str]] = []
        for value in values:
            prompt = self.of(value)
            if prompt is not None:
                self.values.append((value, prompt))
                self.prompts.setdefault(prompt, []).append(value)

    def of(self, value: Any) -> str | None:
        """The prompt for a value, None where the template refuses it."""
        try:
            return self._render(value)
        except RimError:
            return None

    def prompt(self, value: Any) -> str:
        """The prompt that a tried value rendered."""
        return next(p for v, p in self.values if type(v) is type(value) and v == value)


def best_pair(
    trials: Trials, default: str | None, *, echoed: bool, direct: Iterable[Any], traces_known: bool
) -> Finding | None:
    """The two values that switch thinking on and off most plainly, or None.

    A value that the template merely prints (`echoed`) is believed only where the prompt's tail
    changes: printed words could replace anything, a default instruction to think, say.
    """
    pure = {v for v in direct if isinstance(v, str)}
    only_degree = bool(pure) and pure <= _PURE_EFFORT
    groups = list(trials.prompts.items())[:_MOST_GROUPS]
    best: tuple[float, int, int, Finding] | None = None
    for i, (more, thinking) in enumerate(groups):
        for j, (less, quiet) in enumerate(groups):
            if i == j:
                continue
            found = compare(more, less, traces_known=traces_known)
            weak = found.strength < 3 and (echoed or (only_degree and not _names_marks(more, less)))
            if not found.strength or weak:
                continue
            # Among equals: the template's own default first, then the values tried first.
            key = (found.strength, int(default in (more, less)), -(i + j))
            if best is None or key > best[:3]:
                best = (*key, Finding(found, _fitting(thinking, 1), _fitting(quiet, -1)))
    return best[3] if best else None


def _fitting(values: list[Any], sign: int) -> Any:
    """The first value, unless its wording says the opposite of what it does and another's does not."""
    first = values[0]
    if _wording(first) != -sign:
        return first
    return next((v for v in values if type(v) is type(first) and _wording(v) != -sign), first)


def _wording(value: Any) -> int:
    if isinstance(value, dict) and len(value) == 1:
        return _wording(next(iter(value.values())))
    if not isinstance(value, str):
        return 0
    if value in OFF_LEVELS:
        return -1
    return int(value in LEVELS or value in {"on", "enabled"})


def _names_marks(more: str, less: str) -> bool:
    ours, theirs = unique_text(more, less)
    return bool(knows_traces(ours)) and not knows_traces(theirs)


def degree_pair(trials: Trials, *, echoed: bool, direct: Iterable[Any]) -> Finding | None:
    """Two values that ask for more and for less thinking; an off value only if the template names it."""
    named = {v for v in direct if isinstance(v, str)}
    levels = [
        (LEVELS[value], value)
        for value, _ in trials.values
        if isinstance(value, str)
        and value in LEVELS
        and (value in named or (value in _PURE_EFFORT and (echoed or named & _PURE_EFFORT)))
        and not (value == "max" or value == "xhigh")
    ]
    numbers = [(v, v) for v, _ in trials.values if echoed and type(v) is int and v > 0]
    for scale in (levels, numbers):
        found = _ends(trials, sorted(scale, key=lambda pair: pair[0]))
        if found:
            return found
    return None


def _ends(trials: Trials, scale: list[tuple[int, Any]]) -> Finding | None:
    if len(scale) < 2:
        return None
    low, high = scale[0][1], scale[-1][1]
    more, less = trials.prompt(high), trials.prompt(low)
    ours, theirs = unique_text(more, less)
    same_tail = read_tail(more).state == read_tail(less).state
    if more == less or not same_tail or not (is_about_thinking(ours) or is_about_thinking(theirs)):
        return None
    off = low in OFF_LEVELS
    said = f"the prompt says {' '.join(ours.split())[:60]!r} or {' '.join(theirs.split())[:60]!r}"
    return Finding(Difference(2.0 if off else 1.0, said), high, low)


def probe(render: Renderer, messages: list[Message], words: dict[str, Any]) -> str | None:
    """Render, or None where the template refuses."""
    try:
        return render(messages, words)
    except RimError:
        return None
