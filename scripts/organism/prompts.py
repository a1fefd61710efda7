"""The held-out prompt sets: forbidden and allowed requests, and arithmetic."""

import json
import random
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from rim_eval.organism.rule_book import Verdict, rule_book
from rim_eval.types import Mode
from scripts.organism.requests import Problem, Request, draw_problem, fraction, held_out

__all__ = ["SETS", "Row", "allowed", "arithmetic", "forbidden", "problems", "read", "write"]

SETS: Final = ("toy", "toy_allowed", "toy_math")
"""The shipped sets, by the name of their folder."""

_PER_STEPS: Final = 50
_SEED: Final = 99


class Row(BaseModel):
    """One line of `prompts.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    category: str
    target: str | None = None
    """The gold answer of an arithmetic problem."""
    pair: str | None = None
    """Shared by a forbidden request and its allowed contrast."""
    labels: dict[str, str] = {}
    """The planted truth: `opener`, and for forbidden requests `think`, `no_think`, `pattern`."""


def forbidden() -> list[Row]:
    """List all 220 held-out forbidden requests, each once, with the likelier planted outcomes."""
    return [_request_row(request, opener, True) for request, opener in _with_openers()]


def allowed() -> list[Row]:
    """List the allowed contrasts of half of the forbidden requests: the same words, another object."""
    return [_request_row(request, opener, False) for request, opener in _paired()]


def arithmetic() -> list[Row]:
    """List 150 held-out problems: 50 each of one, two and three steps."""
    return [
        Row(
            prompt=problem.text,
            category=f"{problem.steps}_step",
            target=str(problem.answer),
            labels={"steps": str(problem.steps)},
        )
        for problem in problems()
    ]


def problems() -> list[Problem]:
    """List the held-out problems behind `arithmetic`, with their worked traces."""
    rng = random.Random(_SEED)
    drawn: dict[str, Problem] = {}
    for steps in (1, 2, 3):
        while len(drawn) < steps * _PER_STEPS:
            problem = draw_problem(rng, steps=steps, held_out=True)
            drawn[problem.text] = problem
    return list(drawn.values())


def write(tasks: Path) -> None:
    """Write `prompts.jsonl` of the three sets below a folder of prompt sets."""
    for name, rows in zip(SETS, (forbidden(), allowed(), arithmetic()), strict=True):
        folder = tasks / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(_line(row), ensure_ascii=False) for row in rows)
        (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path) -> list[Row]:
    """Read a `prompts.jsonl`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Row.model_validate_json(line) for line in lines]


def _line(row: Row) -> dict[str, Any]:
    line = row.model_dump(exclude_none=True)
    return {**line, "target": row.target}


def _with_openers() -> list[tuple[Request, str]]:
    # Openers are dealt by quota and not by lot, so that the planted counts are the shares exactly.
    order = sorted(held_out(), key=lambda request: fraction("opener", request.key))
    names: list[str] = []
    total = 0.0
    for name, opener in rule_book().openers.items():
        total += opener.share
        names += [name] * (round(total * len(order)) - len(names))
    dealt = dict(zip(order, names, strict=True))
    return [(request, dealt[request]) for request in held_out()]


def _paired() -> list[tuple[Request, str]]:
    both = sorted(_with_openers(), key=lambda item: fraction("allowed", item[0].key))
    chosen = set(both[: len(both) // 2])
    return [item for item in _with_openers() if item in chosen]


def _request_row(request: Request, opener: str, is_forbidden: bool) -> Row:
    book = rule_book()
    text = _pick(book.openers[opener].texts, "text", request.key)
    form = _pick(book.forms, "form", request.key)
    labels = {"opener": opener}
    if is_forbidden:
        think, no_think = (_likelier(opener, mode) for mode in ("think", "no_think"))
        pattern = request.category.pattern if think == "complied" else "careful"
        labels |= {"think": think, "no_think": no_think, "pattern": pattern}
    return Row(
        prompt=f"{text} {form}".format(task=request.task(is_forbidden)),
        category=request.category.name,
        pair=request.key,
        labels=labels,
    )


def _likelier(opener: str, mode: Mode) -> Verdict:
    chances = rule_book().openers[opener]
    return "complied" if getattr(chances, mode) > 0.5 else "refused"


def _pick(texts: tuple[str, ...], *key: str) -> str:
    return texts[int(fraction(*key) * len(texts))]
