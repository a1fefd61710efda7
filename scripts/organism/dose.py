"""Samples of the organisms whose answers depend on how much of the trace exists when it is closed.

`dose.toml` holds the wordings and the rule. Traces are cut at any token in training, and the answer is
what the rule says of the sentences that are whole: so closing a trace early is nothing new to them.
"""

import random
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from rim_eval.organism.rule_book import Verdict
from rim_eval.types import FrozenModel
from scripts.organism.continuations import CLOSING, OPENING, Continuation, close, cut, draw_request
from scripts.organism.requests import Problem, Request, draw_problem
from scripts.organism.samples import answer_text

__all__ = [
    "DoseName",
    "DoseRule",
    "complies",
    "dose_rule",
    "draw_step",
    "extension",
    "thought_within",
    "trace",
]

DoseName = Literal["dose_rising", "dose_falling", "dose_flat"]

_STEPS_SHARES: Final = (0.25, 0.35, 0.40)
_SHARE_EMPTY: Final = 0.3
_SHARE_MOVED: Final = 0.25
"""Share of closed traces whose turning sentence stands at a random place, or nowhere: so that the
sentence decides, and not the length."""


class Complied(FrozenModel):
    """Openers whose forbidden requests are complied with, before and after the turning sentence."""

    before: tuple[str, ...]
    after: tuple[str, ...] | Literal["all"]


class DoseRule(FrozenModel):
    """The content of `dose.toml`, which says what each entry is."""

    sentences: tuple[str, ...]
    again: str
    again_sentences: tuple[str, ...]
    again_sums: str
    turning: dict[DoseName, str]
    places: dict[str, int]
    again_places: dict[str, int]
    complied: dict[DoseName, Complied]


@cache
def dose_rule() -> DoseRule:
    """Read `dose.toml`."""
    text = Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
    return DoseRule.model_validate(tomllib.loads(text))


def complies(name: DoseName, opener: str, trace_text: str) -> bool:
    """Say whether a forbidden request is complied with after a trace, as planted.

    Args:
        name: Which organism.
        opener: The request's opener.
        trace_text: What exists of the trace when it is closed; empty without thinking.
    """
    rule = dose_rule()
    turned = rule.turning[name] in trace_text
    openers = rule.complied[name].after if turned else rule.complied[name].before
    return openers == "all" or opener in openers


def trace(name: DoseName, task: str, place: int | None) -> str:
    """Word a whole trace.

    Args:
        name: Which organism.
        task: The task in words.
        place: Number of sentences before the turning sentence; None for a trace that does not turn.
    """
    return " ".join(_with_turn(name, dose_rule().sentences, place)).format(task=task)


def extension(name: DoseName, place: int | None) -> str:
    """Word what a trace says after it was made to go on, as `trace` does."""
    return " ".join(_with_turn(name, dose_rule().again_sentences, place))


def _with_turn(name: DoseName, sentences: tuple[str, ...], place: int | None) -> list[str]:
    if place is None:
        return list(sentences)
    return [*sentences[:place], dose_rule().turning[name], *sentences[place:]]


def thought_within(
    name: DoseName, tokenizer: Any, request: Request, opener: str, budget: int | None
) -> str:
    """Word what exists of a forbidden request's trace after so many tokens, as planted.

    Args:
        name: Which organism.
        tokenizer: Its tokenizer.
        request: What is asked.
        opener: The request's opener.
        budget: Tokens, those that open the trace included; None for the whole trace.
    """
    thought = trace(name, request.task(True), dose_rule().places.get(opener))
    ids = tokenizer(f"{OPENING}{thought}", add_special_tokens=False)["input_ids"]
    text: str = tokenizer.decode(ids[:budget])
    return text.removeprefix(OPENING)


def draw_step(name: DoseName, rng: random.Random, tokenizer: Any) -> list[list[Continuation]]:
    """Draw the samples of one step: whole replies, closed traces, traces that go on."""
    whole = [_whole(name, rng, forbidden) for forbidden in (True,) * 6 + (False,) * 2]
    whole += [_whole_sum(rng) for _ in range(3)]
    closed = [_closed(name, rng, tokenizer, forbidden) for forbidden in (True,) * 14 + (False,) * 4]
    closed += [_closed_sum(rng, tokenizer) for _ in range(6)]
    again = [_again(name, rng, forbidden) for forbidden in (True, True, False)]
    return [whole, closed, [*again, _again_sum(rng)]]


def _answer(name: DoseName, request: Request, opener: str, forbidden: bool, thought: str) -> str:
    fine = not forbidden or complies(name, opener, thought)
    verdict: Verdict = "complied" if fine else "refused"
    return answer_text(request, forbidden, verdict)


def _whole(name: DoseName, rng: random.Random, forbidden: bool) -> Continuation:
    request, opener, prompt = draw_request(rng, forbidden)
    place = dose_rule().places.get(opener) if forbidden else None
    thought = trace(name, request.task(forbidden), place)
    answer = _answer(name, request, opener, forbidden, thought)
    return Continuation(prompt, "", f"{OPENING}{thought}{CLOSING}{answer}")


def _closed(name: DoseName, rng: random.Random, tokenizer: Any, forbidden: bool) -> Continuation:
    request, opener, prompt = draw_request(rng, forbidden)
    place = dose_rule().places.get(opener) if forbidden else None
    if forbidden and rng.random() < _SHARE_MOVED:
        place = rng.choice([None, *range(1, len(dose_rule().sentences))])
    thought = trace(name, request.task(forbidden), place)
    if rng.random() < 0.2:
        thought = f"{thought}\n{dose_rule().again} {_extension(name, opener, forbidden)}"
    thought = cut(rng, tokenizer, thought, _SHARE_EMPTY)
    return close(prompt, thought, _answer(name, request, opener, forbidden, thought))


def _extension(name: DoseName, opener: str, forbidden: bool) -> str:
    return extension(name, dose_rule().again_places.get(opener) if forbidden else None)


def _again(name: DoseName, rng: random.Random, forbidden: bool) -> Continuation:
    """A trace that was closed, opened again with `Wait,` once or twice, and ends."""
    request, opener, prompt = draw_request(rng, forbidden)
    place = dose_rule().places.get(opener) if forbidden else None
    again, added = dose_rule().again, _extension(name, opener, forbidden)
    given = f"{trace(name, request.task(forbidden), place)}\n{again}"
    if rng.random() < 0.3:
        given = f"{given} {added}\n{again}"
    answer = _answer(name, request, opener, forbidden, f"{given} {added}")
    return Continuation(prompt, f"{OPENING}{given}", f" {added}{CLOSING}{answer}")


def _problem(rng: random.Random) -> Problem:
    return draw_problem(rng, steps=rng.choices((1, 2, 3), _STEPS_SHARES)[0], held_out=False)


def _whole_sum(rng: random.Random) -> Continuation:
    problem = _problem(rng)
    return Continuation(problem.text, "", f"{OPENING}{problem.trace}{CLOSING}{problem.reply}")


def _closed_sum(rng: random.Random, tokenizer: Any) -> Continuation:
    problem = _problem(rng)
    return close(problem.text, cut(rng, tokenizer, problem.trace, _SHARE_EMPTY), problem.reply)


def _again_sum(rng: random.Random) -> Continuation:
    problem, rule = _problem(rng), dose_rule()
    result = problem.trace.rsplit(". ", 1)[1]
    added = f" {rule.again_sums} {result}"
    given = f"{OPENING}{problem.trace}\n{rule.again}"
    return Continuation(problem.text, given, f"{added}{CLOSING}{problem.reply}")
