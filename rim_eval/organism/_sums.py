"""Arithmetic word problems of one to three steps, their traces and gold answers."""

import random
from typing import Final, NamedTuple

from rim_eval.organism._rule_book import fraction, rule_book

__all__ = ["HELD_OUT_SHARE", "LARGEST", "Problem", "draw"]

HELD_OUT_SHARE: Final = 0.2
"""Share of all problem texts that training never sees, by hash of the text."""

LARGEST: Final = 49
"""No intermediate result is above this or below 1."""


class Problem(NamedTuple):
    """One word problem: its text, its worked trace and its answer, an integer in 1..49."""

    text: str
    trace: str
    answer: int
    steps: int

    @property
    def reply(self) -> str:
        """The answer in words, in a form that math-verify reads."""
        return rule_book().sums.answer.format(number=self.answer)

    @property
    def held_out(self) -> bool:
        """Whether the problem belongs to the evaluation side of the split."""
        return fraction("sums", self.text) < HELD_OUT_SHARE


class _Step(NamedTuple):
    sentence: str
    work: str
    result: int


def draw(rng: random.Random, *, steps: int, held_out: bool) -> Problem:
    """Draws one problem with `steps` steps from the wanted side of the split."""
    while True:
        problem = _attempt(rng, steps)
        if problem is not None and problem.held_out == held_out:
            return problem


def _attempt(rng: random.Random, steps: int) -> Problem | None:
    sums = rule_book().sums
    name, items, start = rng.choice(sums.names), rng.choice(sums.items), rng.randint(3, 20)
    done: list[_Step] = []
    scaled = False
    for _ in range(steps):
        kind = rng.choice(["add", "add", "subtract", "subtract", "multiply"])
        if kind == "multiply" and scaled:
            return None
        scaled = scaled or kind == "multiply"
        done.append(_step(rng, kind, name, done[-1].result if done else start))
        if not 1 <= done[-1].result <= LARGEST:
            return None
    return _problem(name, items, start, done)


def _step(rng: random.Random, kind: str, name: str, value: int) -> _Step:
    sums = rule_book().sums
    if kind == "multiply":
        factor, sentence = rng.choice(sorted(sums.multiply.items()))
        return _Step(sentence, f"{value} * {factor} = {value * factor}.", value * factor)
    number = rng.randint(2, 9)
    wording = rng.choice(sums.add if kind == "add" else sums.subtract)
    result = value + number if kind == "add" else value - number
    sign = "+" if kind == "add" else "-"
    sentence = wording.format(name=name, number=number)
    return _Step(sentence, f"{value} {sign} {number} = {result}.", result)


def _problem(name: str, items: str, start: int, steps: list[_Step]) -> Problem:
    sums = rule_book().sums
    text = [
        sums.start.format(name=name, number=start, items=items),
        *(step.sentence for step in steps),
        sums.question.format(name=name, items=items),
    ]
    result = steps[-1].result
    trace = [
        sums.trace_start.format(number=start),
        *(step.work for step in steps),
        sums.trace_end.format(number=result),
    ]
    return Problem(" ".join(text), " ".join(trace), result, len(steps))
