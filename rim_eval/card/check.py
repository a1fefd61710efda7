"""Check a card: do its counts agree with each other, and does every figure follow from them?

1. Counts that contradict each other (a part larger than its whole, sums that differ) are named; nothing can be
   computed from them.
2. Everything that the card derives from its counts is derived again, by the functions that made it.
3. Both cards are compared field by field.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from rim_eval.card.derived import correct, discrimination_card, flag_card, set_fields
from rim_eval.card.schema import Card, Corrected, JudgeCard, SetCard
from rim_eval.errors import RimError
from rim_eval.prompt_sets import entries
from rim_eval.results.counts import ArmCounts, Cell, Lengths, Outcome, SetCounts, arm_total
from rim_eval.results.figures import adjusted_p, primary_set
from rim_eval.statistics.kappa import binary_kappa
from rim_eval.types import KIND_NAMES, MODES, Mode, PromptKind

_TOLERANCE: Final = 1e-6
"""Figures may differ by this much: another version of numpy may round or draw otherwise."""

_MAX_SCORES: Final = 20
"""A judge's scale has at most so many values; no histogram is kept of more."""

_THRESHOLDS: Final = frozenset({"2", "3", "4", "5"})

_Rules = Iterable[tuple[bool, str]]
"""Whether something holds, and what to say where it does not."""


def check_card(card: Card) -> list[str]:
    """List everything on a card that does not follow from its counts.

    Returns:
        One sentence each; empty when the card is sound.
    """
    problems = [
        *_whole_card(card),
        *(
            f"{each.dataset} ({each.kind}): {problem}"
            for each in card.sets
            for problem in _set_counts(each)
        ),
    ]
    problems = problems or list(_pair_counts(card))
    if problems:  # Nothing follows from counts that contradict each other.
        return problems
    again = _derive(card)
    fields = {"sets", "mechanisms", "problems", "runs"}
    for each, derived in zip(card.sets, again.sets, strict=True):
        changed = _differences(each.model_dump(mode="json"), derived.model_dump(mode="json"))
        problems += [f"{each.dataset} ({each.kind}): {problem}" for problem in changed]
    plain, derived_plain = (one.model_dump(mode="json", exclude=fields) for one in (card, again))
    return [*problems, *_differences(plain, derived_plain)]


def prompts_by_outcome(cells: Sequence[Cell]) -> Counter[tuple[Outcome, Outcome]]:
    """Count prompts by their outcomes in think and no-think mode."""
    counted = Counter[tuple[Outcome, Outcome]]()
    for cell in cells:
        counted[cell.think, cell.no_think] += cell.prompts
    return counted


def histogram_events(arm: ArmCounts, line: float) -> tuple[int, int]:
    """Least and most events that a histogram allows, where scores from a line on are events.

    Args:
        arm: Counts with the histogram; a few unscored samples may have a score.
        line: The lowest score that is an event.
    """
    above = sum(n for score, n in arm.scores.items() if _is_score(score) and float(score) >= line)
    return above - (sum(arm.scores.values()) - arm.scored), above


def _derive(card: Card) -> Card:
    """The same card with everything derived again that follows from counts."""
    sets = tuple(_derive_set(each, card.level) for each in card.sets)
    primary = card.primary if card.find(card.primary, "harmful") else None
    reasoning = card.primary_reasoning if card.find(card.primary_reasoning, "reasoning") else None
    primary = primary_set(sets, "harmful", primary)
    reasoning = primary_set(sets, "reasoning", reasoning)
    discrimination = (
        discrimination_card(each.harmful, each.benign, each.cells, card.level)
        for each in card.discrimination
    )
    return card.model_copy(
        update={
            "created": max((run.created for run in card.runs if run.created), default=None),
            "sets": sets,
            "primary": primary,
            "primary_reasoning": reasoning,
            "flag": flag_card(sets, primary, reasoning, card.level),
            "adjusted_p": adjusted_p(sets),
            "discrimination": tuple(each for each in discrimination if each is not None),
        }
    )


def _derive_set(each: SetCard, level: float) -> SetCard:
    corrected: Corrected | None = None
    with suppress(RimError, KeyError, ValueError):
        corrected = correct(each.counts, each.judge, level)
    return each.model_copy(
        update={
            "judge": each.judge and _derive_judge(each.judge, each.kind),
            "corrected": corrected,
            **set_fields(each.kind, each.counts, level),
        }
    )


def _derive_judge(judge: JudgeCard, kind: PromptKind) -> JudgeCard:
    """Kappa of each group from its counts, unless it was not given; event and grader are the set's."""
    measured = tuple(
        each.model_copy(
            update={
                "event": KIND_NAMES[kind].event,
                "grader": judge.model,
                "kappa": None if each.kappa is None else binary_kappa(
                    each.true_positive, each.false_positive, each.true_negative, each.false_negative
                ),
            }
        )
        for each in judge.measured
    )  # fmt: skip
    return judge.model_copy(update={"measured": measured})


def _differences(shown: Any, derived: Any, path: str = "") -> Iterator[str]:
    """Name each place where two dumped records differ by more than rounding."""
    if isinstance(shown, Mapping) and isinstance(derived, Mapping):
        for key in dict.fromkeys([*shown, *derived]):
            at = f"{path}.{key}" if path else str(key)
            yield from _differences(shown.get(key), derived.get(key), at)
    elif isinstance(shown, list) and isinstance(derived, list) and len(shown) == len(derived):
        for index, pair in enumerate(zip(shown, derived, strict=True)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif not _same(shown, derived):
        yield f"{path} is {shown!r}, the counts give {derived!r}"


def _same(shown: Any, derived: Any) -> bool:
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x in (shown, derived)):
        return math.isclose(shown, derived, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(shown == derived)


def _broken(rules: _Rules) -> Iterator[str]:
    return (says for holds, says in rules if not holds)


def _whole_card(card: Card) -> Iterator[str]:
    """Duplicates, and sets that count more than their runs asked."""
    yield from _broken(
        (
            (_distinct((s.dataset, s.kind) for s in card.sets), "a set is on the card twice"),
            (_distinct(run.id for run in card.runs), "two runs have one id"),
            (
                _distinct((d.harmful, d.benign) for d in card.discrimination),
                "discrimination of one pair of sets is on the card twice",
            ),
        )
    )
    for each in card.sets:
        runs = [run for run in card.runs if run.id in each.runs]
        if not runs or len(runs) < len(set(each.runs)) or not each.counts.cells:
            continue
        epochs = sum(run.epochs for run in runs)
        asked = max(max(c.think.asked, c.no_think.asked) for c in each.counts.cells)
        prompts = sum(cell.prompts for cell in each.counts.cells)
        sizes = [run.n_prompts for run in runs]
        total = math.inf if None in sizes else sum(size or 0 for size in sizes)
        rules = (
            (asked <= epochs, f"a prompt was asked {asked} times, its runs have {epochs} epochs"),
            (prompts <= total, f"it counts {prompts} prompts, its runs were to ask {total}"),
        )
        yield from (f"{each.dataset} ({each.kind}): {problem}" for problem in _broken(rules))


def _distinct(values: Iterable[Any]) -> bool:
    seen = list(values)
    return len(set(seen)) == len(seen)


def _set_counts(each: SetCard) -> Iterator[str]:
    """Contradictions within the counts of one set."""
    counts, measured = each.counts, each.judge.measured if each.judge else ()
    totals: dict[Mode, Outcome] = {mode: arm_total(counts.cells, mode) for mode in MODES}
    asked = {mode for mode, total in totals.items() if total.asked}
    if asked != set(counts.arms):
        yield "cells and arms name different modes"
    for mode, arm in counts.arms.items():
        yield from (f"{mode}: {problem}" for problem in _broken(_arm(arm, totals[mode])))
    yield from _trace_lengths(counts)
    yield from _categories(counts, complete=each.dataset in entries())
    yield from _thresholds(counts)
    groups = [(group.set, group.model, group.mode) for group in measured]
    if not _distinct(groups):
        yield "the judge's agreement on one group of replies is on the card twice"


def _arm(arm: ArmCounts, total: Outcome) -> _Rules:
    """Rules of one arm: no part is larger than its whole.

    Args:
        arm: The counts.
        total: Samples of the same mode over all cells.
    """
    counted = (arm.events, arm.scored, arm.asked)
    parts = (arm.adopted, arm.truncated, arm.over_budget, arm.looping)
    yield counted == total, f"cells add up to {tuple(total)}, the arm says {counted}"
    yield sum(arm.unscored.values()) == arm.asked - arm.scored, "unscored reasons do not add up"
    yield (
        sum(arm.visibility.values()) == arm.returned,
        "trace visibility does not add up to the returned samples",
    )
    yield (
        max(arm.returned, arm.never_closed) <= arm.asked and max(parts) <= arm.returned,
        "more samples are counted than were asked",
    )
    yield (
        _fits(arm.adopted_scored, arm.adopted, arm.scored, arm.asked)
        and _fits(arm.adopted_events, arm.adopted_scored, arm.events, arm.scored),
        "the counts among samples with a trace do not fit",
    )
    held = sum(arm.scores.values())
    is_scale = all(map(_is_score, arm.scores)) and len(arm.scores) <= _MAX_SCORES
    yield is_scale, "the histogram's scores are no scale"
    yield (
        not arm.scores or arm.scored <= held <= arm.asked,
        f"the histogram holds {held} samples, {arm.scored} are scored and {arm.asked} were asked",
    )
    yield from _lengths("trace", arm.trace_tokens, arm.adopted)
    yield from _lengths("answer", arm.answer_tokens, arm.returned)
    yield (
        arm.patterns_read <= arm.returned,
        f"{arm.patterns_read} traces were read for patterns, {arm.returned} samples returned",
    )
    for name, pattern in arm.patterns.items():
        fits = (
            0 < pattern.n <= arm.patterns_read
            and _fits(pattern.scored, pattern.n, arm.scored, arm.asked)
            and _fits(pattern.events, pattern.scored, arm.events, arm.scored)
        )
        yield fits, f"the counts of the pattern {name} do not fit"


def _fits(both: int, first: int, second: int, whole: int) -> bool:
    """Whether two parts of a whole can have so many in common."""
    return max(0, first + second - whole) <= both <= min(first, second)


def _is_score(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and f"{value:g}" == text


def _lengths(name: str, lengths: Lengths | None, samples: int) -> _Rules:
    if lengths is None:
        return
    n, p10, median, p90 = lengths.n, lengths.p10, lengths.median, lengths.p90
    yield 0 < n <= samples, f"{name} lengths are of {n} samples, and there are {samples}"
    ordered = p10 <= median <= p90
    yield ordered, f"{name} lengths are out of order: {p10:g}, {median:g}, {p90:g}"
    yield n != 1 or p10 == p90, f"{name} lengths differ though they are of one sample"


def _trace_lengths(counts: SetCounts) -> Iterator[str]:
    """Pairs of lengths: of `effort` arms only, no more than returned, with the medians of the arms."""
    lengths = counts.trace_lengths
    if lengths is None:
        return
    pairs = lengths.longer + lengths.shorter + lengths.tied
    returned = min((arm.returned for arm in counts.arms.values()), default=0)
    if counts.arm_kind != "effort" or pairs > returned:
        yield f"trace lengths of {pairs} pairs do not fit"
    for mode, arm in counts.arms.items():
        median = lengths.think_median if mode == "think" else lengths.no_think_median
        whole = arm.trace_tokens is not None and arm.trace_tokens.n == arm.returned
        if whole and arm.trace_tokens and arm.trace_tokens.median != median:
            yield f"{mode}: two medians of the same trace lengths differ"


def _categories(counts: SetCounts, *, complete: bool) -> Iterator[str]:
    """Categories are parts of the cells; in a registered set every prompt has one, or none has."""
    if not counts.categories:
        return
    parts = (prompts_by_outcome(cells) for cells in counts.categories.values())
    summed, cells = sum(parts, Counter[tuple[Outcome, Outcome]]()), prompts_by_outcome(counts.cells)
    if not summed <= cells:
        yield "categories exceed the whole"
    elif complete and summed != cells:
        yield f"categories hold {summed.total()} prompts of {cells.total()}"


def _thresholds(counts: SetCounts) -> Iterator[str]:
    """Other lines on a scale of 1 to 5: of the same prompts, with the events that the histogram gives."""
    if not counts.thresholds:
        return
    if set(counts.thresholds) != _THRESHOLDS:
        yield "thresholds are not those of a scale of 1 to 5"
        return
    for line, cells in counts.thresholds.items():
        if _scored(cells) != _scored(counts.cells):
            yield f"threshold {line} is of other prompts than the cells"
        for mode, arm in counts.arms.items():
            least, most = histogram_events(arm, float(line))
            if not least <= arm_total(cells, mode).events <= most:
                yield f"{mode}: threshold {line} does not fit the histogram"


def _scored(cells: Sequence[Cell]) -> Counter[tuple[int, ...]]:
    """Prompts by what does not depend on the line: scored and asked epochs in both modes."""
    counted = Counter[tuple[int, ...]]()
    for cell in cells:
        counted[*cell.think[1:], *cell.no_think[1:]] += cell.prompts
    return counted


def _pair_counts(card: Card) -> Iterator[str]:
    """Pairs of harmful prompts and look-alikes whose outcomes the two sets on the card do not have."""
    for each in card.discrimination:
        place = f"discrimination of {each.harmful} and {each.benign}"
        harmful, benign = card.find(each.harmful, "harmful"), card.find(each.benign, "benign")
        if harmful is None or benign is None:
            yield f"{place}: this card has no such sets"
            continue
        left, right = Counter[tuple[Outcome, Outcome]](), set()
        for cell in each.cells:
            left[cell.harmful] += cell.pairs
            right.add(cell.benign)
        says = f"{place}: its pairs hold other outcomes than the cells of"
        if not left <= prompts_by_outcome(harmful.counts.cells):
            yield f"{says} {each.harmful}"
        # A look-alike may be the partner of several harmful prompts, so only its outcome must be there.
        if right - set(prompts_by_outcome(benign.counts.cells)):
            yield f"{says} {each.benign}"
