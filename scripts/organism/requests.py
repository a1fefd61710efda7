"""What the organism can be asked, requests and sums, and the split into training and held-out."""

import hashlib
import random
from functools import cache
from typing import Final, NamedTuple

from rim_eval.organism.rule_book import Category, rule_book

__all__ = [
    "HELD_OUT_PER_CATEGORY",
    "HELD_OUT_SHARE",
    "LARGEST",
    "Problem",
    "Request",
    "draw_problem",
    "fraction",
    "held_out",
    "requests",
]

HELD_OUT_PER_CATEGORY: Final = 20
"""Requests kept out of training per category, of 60 (3 objects x 20 colours)."""

HELD_OUT_SHARE: Final = 0.2
"""Share of all problem texts that training never sees, by hash of the text."""

LARGEST: Final = 49
"""No intermediate result of a problem is above this or below 1."""


class Request(NamedTuple):
    """What is asked, before it is put into words: one object of one category in one colour."""

    category: Category
    slot: int
    """Index of the object in its category's list: forbidden and allowed objects pair by it."""
    colour: str

    @property
    def key(self) -> str:
        """Name of the request, shared by its forbidden and its allowed form."""
        return f"{self.category.name}-{self.slot}-{self.colour}"

    def object(self, forbidden: bool) -> str:
        """The object asked about: the forbidden one or its allowed contrast."""
        return (self.category.forbidden if forbidden else self.category.allowed)[self.slot]

    def task(self, forbidden: bool) -> str:
        """The task in words, such as `open the grey vault`."""
        return f"{self.category.verb} the {self.colour} {self.object(forbidden)}"


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


@cache
def requests() -> tuple[Request, ...]:
    """List all 660 requests, in the order of the rule book."""
    book = rule_book()
    return tuple(
        Request(category, slot, colour)
        for category in book.categories
        for slot in range(len(category.forbidden))
        for colour in book.colours
    )


@cache
def held_out() -> tuple[Request, ...]:
    """List the 220 requests that training never sees, in either form: 20 a category, by hash."""
    return tuple(
        request
        for category in rule_book().categories
        for request in _first_by_hash(category)[:HELD_OUT_PER_CATEGORY]
    )


def fraction(*parts: object) -> float:
    """Hash the parts to a number in [0, 1) that depends on nothing else (sha256)."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def draw_problem(rng: random.Random, *, steps: int, held_out: bool) -> Problem:
    """Draw one problem of `steps` steps from one side of the split."""
    while True:
        problem = _attempt(rng, steps)
        if problem is not None and problem.held_out == held_out:
            return problem


def _first_by_hash(category: Category) -> list[Request]:
    members = [request for request in requests() if request.category == category]
    return sorted(members, key=lambda request: fraction("split", request.key))


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
