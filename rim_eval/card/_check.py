"""Checks a card against its own counts: every figure is computed again, every sum added up."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rim_eval.card._counts import SetCounts, arm_total
from rim_eval.card._derived import adjusted_p, discrimination_card, flag_of
from rim_eval.card._figures import figures
from rim_eval.card._judge import corrected_from
from rim_eval.card._safe import safe_of
from rim_eval.card._schema import Card, SetCard
from rim_eval.card._verify import gate_from_counts
from rim_eval.errors import RimError
from rim_eval.outcomes import MODES

__all__ = ["check_card"]

_CLOSE: Final = 1e-6
"""Figures may differ by this much: another version of numpy may round or draw otherwise."""


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
    return [*found, *_together(card)]


def _repeated(card: Card) -> Iterator[str]:
    names = [(s.dataset, s.kind) for s in card.sets]
    yield from (
        f"{d} ({k}) stands there twice" for d, k in {n for n in names if names.count(n) > 1}
    )


def _set(found: SetCard, level: float) -> Iterator[str]:
    wrong = list(_sums(found.counts))
    yield from wrong
    if wrong:  # Nothing can be computed from counts that contradict each other.
        return
    yield from _differ("figures", found.figures, figures(found.counts.cells, level))
    for name, tables, shown in (
        ("threshold", found.counts.thresholds, found.thresholds),
        ("category", found.counts.categories, found.categories),
    ):
        if set(tables) != set(shown):
            yield f"{name} counts and figures name different ones"
        for key in set(tables) & set(shown):
            yield from _differ(f"{name} {key}", shown[key], figures(tables[key], level))
    if gate_from_counts(found.counts) not in (None, found.gate.verified):
        yield "the mode gate's result does not follow from the counts"
    if found.gate.verified == bool(found.gate.reasons):
        yield "the mode gate's reasons contradict its result"
    safe = safe_of(found.kind, found.counts.cells, level)
    if set(safe) != set(found.safe):
        yield "Safe@K is not shown for the modes that have several epochs"
    for mode in set(safe) & set(found.safe):
        yield from _differ(f"Safe@K {mode}", found.safe[mode], safe[mode])
    yield from _correction(found, level)


def _correction(found: SetCard, level: float) -> Iterator[str]:
    shown = found.corrected
    if shown is None:
        return
    try:
        again = corrected_from(
            found.counts, shown.labelled_set, shown.calibration, shared=shown.shared, level=level
        )
    except (RimError, KeyError, ValueError) as error:
        yield f"the correction cannot be computed again: {error}"
        return
    yield from _differ("corrected figures", shown, again)


def _sums(counts: SetCounts) -> Iterator[str]:
    asked = {mode for mode in MODES if arm_total(counts.cells, mode).asked}
    if asked != set(counts.arms):
        yield "cells and arms name different modes"
    for mode, arm in counts.arms.items():
        total = arm_total(counts.cells, mode)
        if (arm.events, arm.scored, arm.asked) != total:
            yield f"{mode}: cells add up to {tuple(total)}, the arm says {(arm.events, arm.scored, arm.asked)}"
        if sum(arm.unscored.values()) != arm.asked - arm.scored:
            yield f"{mode}: unscored reasons do not add up"
        if sum(arm.visibility.values()) != arm.returned:
            yield f"{mode}: trace visibility does not add up to the returned samples"
        if arm.scores and sum(arm.scores.values()) < arm.scored:
            yield f"{mode}: the histogram holds fewer samples than are scored"
        most = min(arm.returned, arm.asked)
        parts = (arm.adopted, arm.truncated, arm.over_budget, arm.looping, arm.never_closed)
        if max(*parts, arm.returned) > arm.asked or max(arm.adopted, arm.over_budget) > most:
            yield f"{mode}: more samples are counted than were asked"
        if not arm.adopted_events <= min(arm.adopted_scored, arm.events) or (
            arm.adopted_scored > min(arm.adopted, arm.scored)
        ):
            yield f"{mode}: the counts among samples with a trace do not fit"
        yield from _histogram(counts, mode)
    yield from _parts(counts)


def _histogram(counts: SetCounts, mode: Any) -> Iterator[str]:
    scores = counts.arms[mode].scores
    for line, cells in counts.thresholds.items():
        total = arm_total(cells, mode)
        above = sum(n for score, n in scores.items() if float(score) >= float(line))
        if total.events > above or total.scored != counts.arms[mode].scored:
            yield f"{mode}: threshold {line} does not fit the histogram"


def _parts(counts: SetCounts) -> Iterator[str]:
    if not counts.categories:
        return
    for mode in counts.arms:
        parts = [arm_total(cells, mode) for cells in counts.categories.values()]
        summed = tuple(sum(part[i] for part in parts) for i in range(3))
        whole = arm_total(counts.cells, mode)
        if any(part > all_ for part, all_ in zip(summed, whole, strict=True)):
            yield f"{mode}: categories {summed} exceed the whole {tuple(whole)}"


def _together(card: Card) -> Iterator[str]:
    names = {kind: {s.dataset for s in card.of_kind(kind)} for kind in ("harmful", "reasoning")}
    for name, kind in ((card.primary, "harmful"), (card.primary_reasoning, "reasoning")):
        if (name is None) != (not names[kind]) or (name and name not in names[kind]):
            yield f"{name!r} is no {kind} set of this card"
            return
    yield from _differ(
        "flag", card.flag, flag_of(card.sets, card.primary, card.primary_reasoning, card.level)
    )
    yield from _differ("adjusted p values", card.adjusted_p, adjusted_p(card.sets))
    for shown in card.discrimination:
        again = discrimination_card(shown.harmful, shown.benign, shown.cells, card.level)
        yield from _differ("discrimination", shown, again)


def _differ(name: str, shown: Any, computed: Any) -> Iterator[str]:
    """Where two records differ by more than rounding."""
    plain = [
        x.model_dump(mode="json") if hasattr(x, "model_dump") else x for x in (shown, computed)
    ]
    yield from (f"{name}{path}" for path in _different(*plain))


def _different(shown: Any, computed: Any, path: str = "") -> Iterator[str]:
    if isinstance(shown, Mapping) and isinstance(computed, Mapping):
        for key in {*shown, *computed}:
            yield from _different(shown.get(key), computed.get(key), f"{path}.{key}")
    elif (
        isinstance(shown, list | tuple)
        and isinstance(computed, list | tuple)
        and len(shown) == len(computed)
    ):
        for index, pair in enumerate(zip(shown, computed, strict=True)):
            yield from _different(*pair, f"{path}[{index}]")
    elif not _same(shown, computed):
        yield f"{path} is {shown!r}, the counts give {computed!r}"


def _same(shown: Any, computed: Any) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (shown, computed))
    if numbers:
        return math.isclose(shown, computed, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(shown == computed)
