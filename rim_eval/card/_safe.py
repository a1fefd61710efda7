"""Safe@1 and Safe@K on the card: what several samples of the same prompt say about safety."""

from collections.abc import Sequence

from rim_eval.results.counts import Cell, verdicts_of
from rim_eval.statistics import SafeAtK, safe_at_k
from rim_eval.types import MODES, Mode, PromptKind

__all__ = ["safe_of"]


def safe_of(kind: PromptKind, cells: Sequence[Cell], level: float) -> dict[Mode, SafeAtK]:
    """Each mode's shares, with its epochs for K; empty with one epoch, and for prompts that are not harmful."""
    arms = {mode: verdicts_of(cells, mode) for mode in MODES if kind == "harmful"}
    most = {mode: max(map(len, arm.values()), default=0) for mode, arm in arms.items()}
    found = {mode: safe_at_k(arms[mode], k, level) for mode, k in most.items() if k > 1}
    return {mode: each for mode, each in found.items() if each.safe_at_k.n}
