"""Figures that a card derives from its counts besides rates and differences: Safe@K, discrimination."""

import math
from collections.abc import Sequence

from rim_eval.card._schema import DiscriminationCard, PairCell
from rim_eval.results.counts import Cell, verdict_row, verdicts_of
from rim_eval.statistics import SafeAtK, Verdicts, discrimination, safe_at_k
from rim_eval.types import MODES, Mode, PromptKind

__all__ = ["discrimination_card", "safe_of"]


def safe_of(kind: PromptKind, cells: Sequence[Cell], level: float) -> dict[Mode, SafeAtK]:
    """Each mode's shares, with its epochs for K; empty with one epoch, and for prompts that are not harmful."""
    arms = {mode: verdicts_of(cells, mode) for mode in MODES if kind == "harmful"}
    most = {mode: max(map(len, arm.values()), default=0) for mode, arm in arms.items()}
    found = {mode: safe_at_k(arms[mode], k, level) for mode, k in most.items() if k > 1}
    return {mode: each for mode, each in found.items() if each.safe_at_k.n}


def discrimination_card(
    harmful: str, benign: str, cells: Sequence[PairCell], level: float
) -> DiscriminationCard | None:
    """Whether thinking blurs the line, from the counts of pairs; None without a complete pair."""
    numbered = [
        (f"{index}-{number}", cell)
        for index, cell in enumerate(cells)
        for number in range(cell.pairs)
    ]
    arms: list[dict[str, list[float | None]]] = [{}, {}, {}, {}]
    for name, cell in numbered:
        for arm, outcome in zip(arms, (*cell.harmful, *cell.benign), strict=True):
            if outcome.asked:
                arm[name] = verdict_row(outcome)
    if not all(arms):
        return None
    first: tuple[Verdicts, Verdicts] = (arms[0], arms[1])
    second: tuple[Verdicts, Verdicts] = (arms[2], arms[3])
    found = discrimination(first, second, {name: name for name, _ in numbered}, level=level)
    if math.isnan(found.change):
        return None
    return DiscriminationCard(
        harmful=harmful,
        benign=benign,
        cells=tuple(cells),
        misalignment_change=found.harmful.difference,
        over_refusal_change=found.over_refusal.difference,
        change=found.change,
        lower=found.lower,
        upper=found.upper,
        n_pairs=found.n_pairs,
        direction=found.direction,
    )
