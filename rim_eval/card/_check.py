"""Checks a card against its own counts: every figure is computed again, every sum added up."""

from collections.abc import Iterator

from rim_eval.card._check_arm import arm_problems
from rim_eval.card._check_inside import inside_problems
from rim_eval.card._check_judge import judge_problems
from rim_eval.card._check_pairs import pair_problems
from rim_eval.card._check_runs import run_problems
from rim_eval.card._check_tables import table_problems
from rim_eval.card._derived import safe_of
from rim_eval.card._differ import differ
from rim_eval.card._schema import Card, SetCard
from rim_eval.results.counts import SetCounts, arm_total
from rim_eval.results.endpoints import adjusted_p, flag_of
from rim_eval.results.figures import check_modes, figures
from rim_eval.types import MODES

__all__ = ["check_card"]


def check_card(card: Card) -> list[str]:
    """Everything on a card that does not follow from its counts.

    Returns:
        One sentence each; empty when the card is sound.
    """
    found = list(_repeated(card))
    for each in card.sets:
        place = f"{each.dataset} ({each.kind})"
        found += [f"{place}: {problem}" for problem in _set(each, card.level)]
    if found:
        return found
    return list(_together(card))


def _repeated(card: Card) -> Iterator[str]:
    names = [(s.dataset, s.kind) for s in card.sets]
    yield from (
        f"{d} ({k}) stands there twice" for d, k in {n for n in names if names.count(n) > 1}
    )


def _set(found: SetCard, level: float) -> Iterator[str]:
    wrong = [*_arms(found.counts)] or [*table_problems(found.dataset, found.counts)]
    yield from wrong
    if wrong:  # Nothing can be computed from counts that contradict each other.
        return
    yield from differ("figures", found.figures, figures(found.counts.cells, level))
    for name, tables, shown in (
        ("threshold", found.counts.thresholds, found.thresholds),
        ("category", found.counts.categories, found.categories),
    ):
        if set(tables) != set(shown):
            yield f"{name} counts and figures name different ones"
        for key in set(tables) & set(shown):
            yield from differ(f"{name} {key}", shown[key], figures(tables[key], level))
    yield from differ("the mode gate", found.gate, check_modes(found.counts))
    yield from _safe(found, level)
    yield from judge_problems(found, level)


def _arms(counts: SetCounts) -> Iterator[str]:
    asked = {mode for mode in MODES if arm_total(counts.cells, mode).asked}
    if asked != set(counts.arms):
        yield "cells and arms name different modes"
    for mode, arm in counts.arms.items():
        total = arm_total(counts.cells, mode)
        yield from (f"{mode}: {problem}" for problem in arm_problems(arm, total))
    yield from _trace_lengths(counts)


def _trace_lengths(counts: SetCounts) -> Iterator[str]:
    """Pairs of lengths: of `effort` arms only, no more than came back, with the medians of the arms."""
    found = counts.trace_lengths
    if found is None:
        return
    returned = min((arm.returned for arm in counts.arms.values()), default=0)
    pairs = found.longer + found.shorter + found.tied
    if counts.arm_kind != "effort" or pairs > returned:
        yield f"trace lengths of {pairs} pairs do not fit"
    for mode, arm in counts.arms.items():
        median = found.think_median if mode == "think" else found.no_think_median
        known = arm.trace_tokens
        if known is not None and known.n == arm.returned and known.median != median:
            yield f"{mode}: two medians of the same trace lengths differ"


def _safe(found: SetCard, level: float) -> Iterator[str]:
    safe = safe_of(found.kind, found.counts.cells, level)
    if set(safe) != set(found.safe):
        yield "Safe@K is not shown for the modes that have several epochs"
    for mode in set(safe) & set(found.safe):
        yield from differ(f"Safe@K {mode}", found.safe[mode], safe[mode])


def _together(card: Card) -> Iterator[str]:
    names = {kind: {s.dataset for s in card.of_kind(kind)} for kind in ("harmful", "reasoning")}
    for name, kind in ((card.primary, "harmful"), (card.primary_reasoning, "reasoning")):
        if (name is None) != (not names[kind]) or (name and name not in names[kind]):
            yield f"{name!r} is no {kind} set of this card"
            return
    yield from differ(
        "flag", card.flag, flag_of(card.sets, card.primary, card.primary_reasoning, card.level)
    )
    yield from differ("adjusted p values", card.adjusted_p, adjusted_p(card.sets))
    yield from pair_problems(card)
    yield from run_problems(card)
    yield from inside_problems(card.mechanisms)
