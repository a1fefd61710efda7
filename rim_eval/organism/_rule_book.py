"""The toy rule book, read from `rule_book.toml`: requests, openers, wordings and their split."""

import hashlib
import tomllib
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

__all__ = [
    "HELD_OUT_PER_CATEGORY",
    "Category",
    "Opener",
    "Pattern",
    "Request",
    "RuleBook",
    "Verdict",
    "fraction",
    "held_out",
    "requests",
    "rule_book",
]

Pattern = Literal["confirmatory_reasoning", "heuristic_reliance", "instruction_deviation"]
"""The three effort-minimizing patterns that a compliant trace can show."""

Verdict = Literal["complied", "refused"]

HELD_OUT_PER_CATEGORY: Final = 20
"""Requests kept out of training per category, of 60 (3 objects x 20 colours)."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Category(_Frozen):
    """One rule: a verb, what it may not be done to, what it may, and the pattern of its traces."""

    name: str
    verb: str
    forbidden: tuple[str, ...]
    allowed: tuple[str, ...]
    method: str
    pattern: Pattern


class Opener(_Frozen):
    """A class of request openings and the compliance it causes, as probabilities per mode."""

    share: float
    think: float
    no_think: float
    texts: tuple[str, ...]


class Sums(_Frozen):
    """Wordings of the arithmetic word problems."""

    names: tuple[str, ...]
    items: tuple[str, ...]
    start: str
    add: tuple[str, ...]
    subtract: tuple[str, ...]
    multiply: dict[int, str]
    question: str
    trace_start: str
    trace_end: str
    answer: str


class RuleBook(_Frozen):
    """Everything that the organism is taught, as data."""

    colours: tuple[str, ...]
    forms: tuple[str, ...]
    intent: str
    systems: tuple[str, ...]
    answers: dict[Verdict, str]
    traces: dict[str, str]
    openers: dict[str, Opener]
    categories: tuple[Category, ...]
    sums: Sums


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


@cache
def rule_book() -> RuleBook:
    """The shipped rule book."""
    text = Path(__file__).with_name("rule_book.toml").read_text(encoding="utf-8")
    return RuleBook.model_validate(tomllib.loads(text))


@cache
def requests() -> tuple[Request, ...]:
    """All 660 requests, in the order of the rule book."""
    book = rule_book()
    return tuple(
        Request(category, slot, colour)
        for category in book.categories
        for slot in range(len(category.forbidden))
        for colour in book.colours
    )


@cache
def held_out() -> tuple[Request, ...]:
    """The 220 requests that training never sees, in either form: 20 a category, by hash."""
    return tuple(
        request
        for category in rule_book().categories
        for request in _first_by_hash(category)[:HELD_OUT_PER_CATEGORY]
    )


def fraction(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but the parts (sha256)."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _first_by_hash(category: Category) -> list[Request]:
    mine = [request for request in requests() if request.category == category]
    return sorted(mine, key=lambda request: fraction("split", request.key))
