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

from rim_eval.card.build import card_fields, correct, discrimination_card, set_fields
from rim_eval.card.labels import derive_labels, label_constraints
from rim_eval.card.noise import derive_noise, noise_constraints
from rim_eval.card.schema import Card, CardRun, JudgeCard, JudgeFigures, SetCard
from rim_eval.errors import RimError
from rim_eval.judging import only_mode_of
from rim_eval.prompt_sets import entries
from rim_eval.results.conditions import gap_of
from rim_eval.results.counts import (
    MAX_SCORES,
    THRESHOLDS,
    ArmCounts,
    Cell,
    Lengths,
    Outcome,
    SetCounts,
    arm_total,
)
from rim_eval.statistics.kappa import binary_kappa
from rim_eval.thinking import compares_lengths, dose_rank
from rim_eval.types import KIND_NAMES, MODES, UNSCORED_REASONS, Mode, PromptKind

_TOLERANCE: Final = 1e-6
"""Figures may differ by this much: another version of numpy may round or draw otherwise."""

MAX_SAMPLES: Final = 200_000
"""Of one set in one mode; OR-Bench 1,319 prompts x 100 epochs fits."""

_MAX_TABLES: Final = 400
"""Tables of counts on a card, and groups of labelled replies."""

_Constraints = Iterator[tuple[bool, str]]
"""Whether each constraint holds, and what to say where it does not."""


def check_card(card: Card) -> list[str]:
    """List everything on a card that does not follow from its counts.

    Returns:
        One sentence each; empty when the card is sound.
    """
    problems = list(_sizes(card)) or _violations(_card_constraints(card))
    for each in card.sets:
        problems += _violations(_set_constraints(each, card.runs), _set_prefix(each))
    problems = problems or _violations(_pair_constraints(card))
    problems = problems or _violations(_gap_constraints(card))
    if problems:  # Nothing follows from counts that contradict each other.
        return problems
    derived = _derive(card)
    for each, derived_set in zip(card.sets, derived.sets, strict=True):
        stated, recomputed = (record.model_dump(mode="json") for record in (each, derived_set))
        differences = _differences(stated, recomputed)
        problems += [_set_prefix(each) + difference for difference in differences]
    fields = {"sets", "mechanisms", "problems", "runs"}
    stated, recomputed = (
        record.model_dump(mode="json", exclude=fields) for record in (card, derived)
    )
    return [*problems, *_differences(stated, recomputed)]


def _sizes(card: Card) -> Iterator[str]:
    """Counts so large that computing with them would take for ever."""
    tables = len(card.discrimination)
    for each in card.sets:
        counts = each.counts
        cells = [counts.cells, *counts.thresholds.values(), *counts.categories.values()]
        samples = [
            sum(c.prompts * max(c.think.asked, c.no_think.asked) for c in table) for table in cells
        ]
        tables += len(cells) + (len(each.judge.measured) if each.judge else 0)
        if samples[0] > MAX_SAMPLES or sum(samples) > 8 * MAX_SAMPLES:
            yield f"{each.dataset}: more than {MAX_SAMPLES:,} samples"
    if tables > _MAX_TABLES:
        yield f"more than {_MAX_TABLES} tables of counts"
    pairs = sum(cell.pairs for each in card.discrimination for cell in each.cells)
    if pairs > MAX_SAMPLES:
        yield f"{pairs:.3g} pairs"


def prompts_by_outcome(cells: Sequence[Cell]) -> Counter[tuple[Outcome, Outcome]]:
    """Count prompts by their outcomes in think and no-think mode."""
    tally = Counter[tuple[Outcome, Outcome]]()
    for cell in cells:
        tally[cell.think, cell.no_think] += cell.prompts
    return tally


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
    sets = tuple(_derive_set(each, card.model, card.level) for each in card.sets)
    primary = card.primary if card.find(card.primary, "harmful") else None
    reasoning = card.primary_reasoning if card.find(card.primary_reasoning, "reasoning") else None
    fields = card_fields(sets, card.runs, card.level, primary=primary, primary_reasoning=reasoning)
    pairs = (
        discrimination_card(each.harmful, each.benign, each.cells, card.level)
        for each in card.discrimination
    )
    gaps = tuple(gap_of(each.counts, card.level) for each in card.gaps)
    discriminations = tuple(filter(None, pairs))
    return card.model_copy(
        update={"sets": sets, "discrimination": discriminations, "gaps": gaps, **fields}
    )


def _derive_set(each: SetCard, model: str, level: float) -> SetCard:
    fields = set_fields(each.kind, each.counts, level, each.doses) | {"corrected": None}
    with suppress(RimError, KeyError, ValueError):
        fields["corrected"] = correct(model, each.counts, each.judge, level)
    labels = None
    with suppress(RimError, ValueError):
        labels = derive_labels(each.labels.counts, level) if each.labels else None
    fields["labels"] = labels
    if each.noise:
        variance = labels.label_variance if labels else None
        fields["noise"] = derive_noise(each.noise, each.counts, level, variance)
    if each.judge:
        measured = (
            _derive_agreement(group, each.judge, each.kind) for group in each.judge.measured
        )
        fields["judge"] = each.judge.model_copy(update={"measured": tuple(measured)})
    return each.model_copy(update=fields)


def _derive_agreement(group: JudgeFigures, judge: JudgeCard, kind: PromptKind) -> JudgeFigures:
    """Kappa from the counts, unless it was not given; event and grader are the set's."""
    counts = (group.true_positive, group.false_positive, group.true_negative, group.false_negative)
    kappa = None if group.kappa is None else binary_kappa(*counts)
    event = KIND_NAMES[kind].event
    return group.model_copy(update={"event": event, "grader": judge.model, "kappa": kappa})


def _differences(stated: Any, derived: Any, path: str = "") -> Iterator[str]:
    """Name each place where two dumped records differ by more than rounding."""
    if isinstance(stated, Mapping) and isinstance(derived, Mapping):
        for key in dict.fromkeys([*stated, *derived]):
            field = f"{path}.{key}" if path else str(key)
            yield from _differences(stated.get(key), derived.get(key), field)
    elif isinstance(stated, list) and isinstance(derived, list) and len(stated) == len(derived):
        for index, pair in enumerate(zip(stated, derived, strict=True)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif not _same(stated, derived):
        yield f"{path} is {stated!r}, the counts give {derived!r}"


def _same(stated: Any, derived: Any) -> bool:
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x in (stated, derived)):
        return math.isclose(stated, derived, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(stated == derived)


def _violations(constraints: _Constraints, prefix: str = "") -> list[str]:
    return [prefix + message for holds, message in constraints if not holds]


def _set_prefix(each: SetCard) -> str:
    return f"{each.dataset} ({each.kind}): "


def _distinct(values: Iterable[Any]) -> bool:
    items = list(values)
    return len(set(items)) == len(items)


def _card_constraints(card: Card) -> _Constraints:
    pairs = _distinct((d.harmful, d.benign) for d in card.discrimination)
    yield _distinct((s.dataset, s.kind) for s in card.sets), "a set is on the card twice"
    yield _distinct(run.id for run in card.runs), "two runs have one id"
    yield pairs, "discrimination of one pair of sets is on the card twice"


def _set_constraints(each: SetCard, runs: Sequence[CardRun]) -> _Constraints:
    """Constraints on the counts of one set, and on what its runs asked."""
    counts, measured = each.counts, each.judge.measured if each.judge else ()
    set_runs = [run for run in runs if run.id in each.runs]
    if set_runs and counts.cells and len(set_runs) >= len(set(each.runs)):
        epochs = sum(run.epochs for run in set_runs)
        asked = max(max(c.think.asked, c.no_think.asked) for c in counts.cells)
        yield asked <= epochs, f"a prompt was asked {asked} times, its runs have {epochs} epochs"
        prompts = sum(cell.prompts for cell in counts.cells)
        sizes = [math.inf if run.n_prompts is None else run.n_prompts for run in set_runs]
        yield (
            prompts <= sum(sizes),
            f"it counts {prompts} prompts, its runs were to ask {sum(sizes)}",
        )
    totals = {mode: arm_total(counts.cells, mode) for mode in MODES}
    modes = {mode for mode, total in totals.items() if total.asked}
    yield modes == set(counts.arms), "cells and arms name different modes"
    for mode, arm in counts.arms.items():
        for holds, message in _arm_constraints(arm, totals[mode]):
            yield holds, f"{mode}: {message}"
        for holds, message in _taxonomy_constraints(arm, counts.cells, mode):
            yield holds, f"{mode}: {message}"
    only_mode = only_mode_of(each.judge.sees if each.judge else None, counts.arm_kind)
    message = "the modes that its judge can read do not follow from what it sees"
    yield counts.only_mode == only_mode, message
    yield from _trace_length_constraints(counts)
    yield from _category_constraints(counts, complete=each.dataset in entries())
    yield from _threshold_constraints(counts)
    yield from _dose_constraints(each)
    yield from _system_constraints(each.kind, counts)
    groups = _distinct((group.set, group.model, group.mode) for group in measured)
    yield (
        all(
            sum(g.prompts.values()) == g.positives + g.negatives + g.unscored
            for g in measured
            if g.prompts
        ),
        "labelled replies by kind of prompt do not add up",
    )
    yield groups, "the judge's agreement on one group of replies is on the card twice"
    yield from noise_constraints(each)
    yield from label_constraints(each)


def _arm_constraints(arm: ArmCounts, total: Outcome) -> _Constraints:
    """No part of an arm is larger than its whole.

    Args:
        arm: The counts.
        total: Samples of the same mode over all cells.
    """
    stated = (arm.events, arm.scored, arm.asked)
    yield stated == total, f"cells add up to {tuple(total)}, the arm says {stated}"
    unscored = arm.n_unscored + arm.declined
    yield unscored == arm.asked - arm.scored, "unscored reasons do not add up"
    yield "provider_declined" not in arm.unscored, "declined samples are among the unscored"
    visible = sum(arm.visibility.values())
    yield visible == arm.returned, "trace visibility does not add up to the returned samples"
    over = (arm.over_budget, arm.trace_over_budget, arm.over_limit)
    parts = (arm.adopted, arm.truncated, arm.looping, *over)
    fits = max(arm.returned + arm.declined, arm.never_closed) <= arm.asked
    fits &= max(parts) <= arm.returned
    yield fits, "more samples are counted than were asked"
    fits = _fits(arm.adopted_scored, arm.adopted, arm.scored, arm.asked)
    fits &= _fits(arm.adopted_events, arm.adopted_scored, arm.events, arm.scored)
    yield fits, "the counts among samples with a trace do not fit"
    is_scale = all(map(_is_score, arm.scores)) and len(arm.scores) <= MAX_SCORES
    yield is_scale, "the histogram's scores are no scale"
    n = sum(arm.scores.values())
    yield (
        not arm.scores or arm.scored <= n <= arm.asked,
        f"the histogram holds {n} samples, {arm.scored} are scored and {arm.asked} were asked",
    )
    yield from _length_constraints("trace", arm.trace_tokens, arm.adopted)
    yield from _length_constraints("answer", arm.answer_tokens, arm.returned)
    n = arm.patterns_read
    message = f"{n} traces were read for patterns, {arm.returned} samples returned"
    yield n <= arm.returned, message
    for name, pattern in arm.patterns.items():
        fits = 0 < pattern.n <= n and _fits(pattern.scored, pattern.n, arm.scored, arm.asked)
        fits &= _fits(pattern.events, pattern.scored, arm.events, arm.scored)
        yield fits, f"the counts of the pattern {name} do not fit"


def _taxonomy_constraints(arm: ArmCounts, cells: Sequence[Cell], mode: Mode) -> _Constraints:
    """The outcomes of an arm's samples are of the same prompts as its cells, and add up to its counts."""
    if not arm.taxonomy:
        return
    of_taxonomy, of_cells = Counter[tuple[int, ...]](), Counter[tuple[int, ...]]()
    totals = Counter[str]()
    for each in arm.taxonomy:
        of_taxonomy[each.totals] += each.prompts
        totals.update({name: n * each.prompts for name, n in each.samples.items()})
    for cell in cells:
        of_cells[tuple(cell.outcome(mode))] += cell.prompts
    of_cells.pop((0, 0, 0), None)
    yield of_taxonomy == of_cells, "the outcomes of its samples are of other prompts than its cells"
    unscored = {r: totals[r] for r in UNSCORED_REASONS if totals[r] and r != "provider_declined"}
    fits = unscored == {reason: n for reason, n in arm.unscored.items() if n}
    yield fits, "the outcomes of its samples have other reasons than the unscored"
    scored = sum(totals[f"thought_{name}"] for name in ("event", "no_event", "looping"))
    fits = (totals["thought_event"], scored) == (arm.adopted_events, arm.adopted_scored)
    looping = totals["thought_looping"] + totals["direct_looping"]
    yield fits and looping <= arm.looping, "the outcomes of its samples do not fit its counts"


def _fits(overlap: int, first: int, second: int, whole: int) -> bool:
    """Whether two parts of a whole can have so many in common."""
    return max(0, first + second - whole) <= overlap <= min(first, second)


def _is_score(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and f"{value:g}" == text


def _length_constraints(name: str, lengths: Lengths | None, samples: int) -> _Constraints:
    if lengths is not None:
        n, p10, median, p90 = lengths.n, lengths.p10, lengths.median, lengths.p90
        yield 0 < n <= samples, f"{name} lengths are of {n} samples, and there are {samples}"
        ordered = p10 <= median <= p90
        yield ordered, f"{name} lengths are out of order: {p10:g}, {median:g}, {p90:g}"
        yield n != 1 or p10 == p90, f"{name} lengths differ though they are of one sample"


def _trace_length_constraints(counts: SetCounts) -> _Constraints:
    """Pairs of lengths: of kinds that are checked by them, no more than can be; of traces, with the arms' medians."""
    lengths = counts.trace_lengths
    if lengths is None:
        return
    pairs = lengths.longer + lengths.shorter + lengths.tied
    # Of chain of thought, pairs whose verdicts differ are not compared.
    cells = counts.cells if counts.arm_kind == "chain_of_thought" else ()
    most = min((a.returned - _least_left_out(cells, m) for m, a in counts.arms.items()), default=0)
    fits = compares_lengths(counts.arm_kind) and pairs <= most
    yield fits, f"trace lengths of {pairs} pairs do not fit"
    if counts.arm_kind != "effort":
        return
    for mode, arm in counts.arms.items():
        median = lengths.think_median if mode == "think" else lengths.no_think_median
        # The arm's own median is of the same traces only where all that returned have a length.
        trace = arm.trace_tokens
        fits = trace is None or trace.n != arm.returned or trace.median == median
        yield fits, f"{mode}: two medians of the same trace lengths differ"


def _least_left_out(cells: Iterable[Cell], mode: Mode) -> int:
    """Least samples of a mode without a partner of the same epoch whose verdict does not differ.

    With `e` events and `s` scored samples, and `E` events of `S` scored of `N` asked in the other mode, at most
    `N - (S - E)` of the events have a partner that is no non-event, and at most `N - E` of the non-events one
    that is no event.
    """
    total = 0
    for cell in cells:
        own, other = (cell.think, cell.no_think) if mode == "think" else (cell.no_think, cell.think)
        events = own.events - (other.asked - (other.scored - other.events))
        non_events = (own.scored - own.events) - (other.asked - other.events)
        total += cell.prompts * (max(0, events) + max(0, non_events))
    return total


def _category_constraints(counts: SetCounts, *, complete: bool) -> _Constraints:
    """Categories are parts of the cells; in a registered set every prompt has one, or none has."""
    if counts.categories:
        parts = (prompts_by_outcome(cells) for cells in counts.categories.values())
        summed, cells = (
            sum(parts, Counter[tuple[Outcome, Outcome]]()),
            prompts_by_outcome(counts.cells),
        )
        yield summed <= cells, "categories exceed the whole"
        fits = not complete or not summed <= cells or summed == cells
        yield fits, f"categories hold {summed.total()} prompts of {cells.total()}"


def _threshold_constraints(counts: SetCounts) -> _Constraints:
    """Other lines on a scale of 1 to 5: of the same prompts, with the events that the histogram gives."""
    if not counts.thresholds:
        return
    is_scale = set(counts.thresholds) == set(map(str, THRESHOLDS))
    yield is_scale, "thresholds are not those of a scale of 1 to 5"
    for line, cells in counts.thresholds.items() if is_scale else ():
        same_prompts = _prompts_by_scored_epochs(cells) == _prompts_by_scored_epochs(counts.cells)
        yield same_prompts, f"threshold {line} is of other prompts than the cells"
        for mode, arm in counts.arms.items():
            least, most = histogram_events(arm, float(line))
            fits = least <= arm_total(cells, mode).events <= most
            yield fits, f"{mode}: threshold {line} does not fit the histogram"


def _system_constraints(kind: PromptKind, counts: SetCounts) -> _Constraints:
    """The system's cells are of the same prompts, and differ by what was declined."""
    declined = any(arm.declined for arm in counts.arms.values())
    yield (
        declined == bool(counts.system),
        "the system needs cells of its own exactly where samples were declined",
    )
    if not declined:
        return
    same_prompts = _prompts_by_epochs(counts.system) == _prompts_by_epochs(counts.cells)
    yield same_prompts, "the system's cells are of other prompts than the model's"
    for mode, arm in counts.arms.items():
        events = arm.events + arm.declined * (kind == "benign")
        total = Outcome(events, arm.scored + arm.declined, arm.asked)
        fits = arm_total(counts.system, mode) == total
        yield fits, f"{mode}: the system's cells do not fit the {arm.declined} declined samples"


def _dose_constraints(each: SetCard) -> _Constraints:
    """The least and the most dose are the set's two arms, and no part of a dose is larger than its whole."""
    if each.doses is None:
        return
    doses, cells = each.doses.doses, each.doses.cells
    names = [dose.name for dose in doses]
    ranks = [dose_rank(name) for name in names]
    ordered = all(rank is not None for rank in ranks) and ranks == sorted(set(filter(None, ranks)))
    yield ordered, f"{', '.join(names)} are no doses from least to most"
    fits = all(len(cell.outcomes) == len(doses) for cell in cells)
    yield fits, "the cells of the doses have other arms than there are doses"
    if not fits:
        return
    ends = Counter[tuple[Outcome, Outcome]]()
    for cell in cells:
        ends[cell.outcomes[-1], cell.outcomes[0]] += cell.prompts
    ends.pop((_NOT_ASKED, _NOT_ASKED), None)
    fits = ends == prompts_by_outcome(each.counts.cells)
    yield fits, "the cells of the least and the most dose are not those of the two modes"
    for number, dose in enumerate(doses):
        asked = sum(cell.outcomes[number].asked * cell.prompts for cell in cells)
        parts = (dose.adopted, dose.over_budget, dose.closed_at_budget)
        fits = dose.returned <= asked and max(parts) <= dose.returned
        yield fits, f"{dose.name}: more samples are counted than were asked"


_NOT_ASKED: Final = Outcome(0, 0, 0)


def _gap_constraints(card: Card) -> _Constraints:
    """The prompts of a gap have outcomes that the two sets on the card have too."""
    names = _distinct((each.names, each.counts.kind) for each in card.gaps)
    yield names, "a gap is on the card twice"
    for each in card.gaps:
        for number, name in enumerate(each.names):
            of_condition = card.find(name, each.counts.kind)
            yield of_condition is not None, f"gap of {name}: this card has no such set"
            arms = slice(2 * number, 2 * number + 2)
            outcomes = Counter[tuple[Outcome, ...]]()
            for cell in each.counts.cells:
                outcomes[cell.outcomes[arms]] += cell.prompts
            outcomes.pop((_NOT_ASKED, _NOT_ASKED), None)
            if of_condition is not None:
                fits = outcomes <= prompts_by_outcome(of_condition.counts.cells)
                yield fits, f"the gap of {name} holds other outcomes than its cells"


def _prompts_by_epochs(cells: Sequence[Cell]) -> Counter[tuple[int, int]]:
    """Prompts by their epochs in both modes."""
    tally = Counter[tuple[int, int]]()
    for cell in cells:
        tally[cell.think.asked, cell.no_think.asked] += cell.prompts
    return tally


def _prompts_by_scored_epochs(cells: Sequence[Cell]) -> Counter[tuple[int, ...]]:
    """Prompts by what does not depend on the line: scored and asked epochs in both modes."""
    tally = Counter[tuple[int, ...]]()
    for cell in cells:
        tally[*cell.think[1:], *cell.no_think[1:]] += cell.prompts
    return tally


def _pair_constraints(card: Card) -> _Constraints:
    """Pairs of harmful prompts and look-alikes have outcomes that the two sets on the card have too."""
    for each in card.discrimination:
        pair = f"discrimination of {each.harmful} and {each.benign}"
        harmful, benign = card.find(each.harmful, "harmful"), card.find(each.benign, "benign")
        yield bool(harmful and benign), f"{pair}: this card has no such sets"
        if harmful is None or benign is None:
            continue
        message = f"{pair}: its pairs hold other outcomes than the cells of"
        outcomes = Counter[tuple[Outcome, Outcome]]()
        for cell in each.cells:
            outcomes[cell.harmful] += cell.pairs
        yield outcomes <= prompts_by_outcome(harmful.counts.cells), f"{message} {each.harmful}"
        # A look-alike may be the partner of several harmful prompts, so only its outcome must be there.
        partners = {cell.benign for cell in each.cells}
        yield partners <= set(prompts_by_outcome(benign.counts.cells)), f"{message} {each.benign}"
