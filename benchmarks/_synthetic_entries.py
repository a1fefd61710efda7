"""Leaderboard entries of models that do not exist, for tests and measurements; never committed as results."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rim_eval.card import Card, Cell, Outcome, SetCard, SetCounts, figures, read_card
from rim_eval.leaderboard import Entry, ModelFile
from rim_eval.paths import leaderboard_dir
from rim_eval.types import ARM_KINDS

__all__ = ["ORGANISM_CARD", "synthetic_entries"]

ORGANISM_CARD: Final = leaderboard_dir() / "results" / "organism" / "greedy.json"

_FAMILIES: Final = ("Aspen", "Birch", "Cedar", "Dogwood", "Elm", "Fir")
_JUDGES: Final = ("hexphi@2", "strong_reject@2", "qwen3guard@1")


def synthetic_entries(n: int, *, seed: int = 0, card: Path = ORGANISM_CARD) -> list[Entry]:
    """Entries with drawn counts and the figures that follow from them, in both directions."""
    draw = random.Random(seed)
    template = read_card(card)
    return [_entry(number, template, draw) for number in range(n)]


def _entry(number: int, template: Card, draw: random.Random) -> Entry:
    family = draw.choice(_FAMILIES)
    name = f"synthetic/{family}-{number:04}"
    parameters = int(10 ** draw.uniform(8.5, 11.5))
    model = ModelFile(model=name, kind="model", developer="synthetic", family=family, parameters=parameters)  # fmt: skip
    arm, judge = draw.choice(ARM_KINDS), draw.choice(_JUDGES)
    sets = tuple(_set(found, draw, arm, judge) for found in template.sets)
    drawn = {"model": name, "sets": sets, "flag": None, "discrimination": (), "runs": ()}
    return Entry(f"synthetic-{number:04}", "card", model, template.model_copy(update=drawn))


def _set(found: SetCard, draw: random.Random, arm: str, judge: str) -> SetCard:
    total = 60
    without, shift = draw.uniform(0.05, 0.6), draw.uniform(-0.3, 0.35)
    shares = (without, min(max(without + shift, 0), 1))
    cells = _cells(draw, total, shares)
    counts = SetCounts.model_validate(
        found.counts.model_dump()
        | {"arm_kind": arm, "cells": cells, "categories": {}, "thresholds": {}}
    )
    update = {"counts": counts, "figures": figures(cells), "categories": {}, "thresholds": {}}
    if found.judge is not None:
        update["judge"] = found.judge.model_copy(update={"name": judge, "model": "openai/gpt-4.1"})
    return found.model_copy(update=update)


def _cells(draw: random.Random, total: int, shares: Sequence[float]) -> tuple[Cell, ...]:
    tally: dict[tuple[int, int], int] = {}
    for _ in range(total):
        luck = draw.random()
        both = tuple(int((luck if draw.random() < 0.6 else draw.random()) < s) for s in shares)
        tally[both[1], both[0]] = tally.get((both[1], both[0]), 0) + 1
    return tuple(
        Cell(think=Outcome(think, 1, 1), no_think=Outcome(without, 1, 1), prompts=n)
        for (think, without), n in sorted(tally.items())
    )
