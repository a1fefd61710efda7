"""The pictures of a card, each with its caption and the table of the same figures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from rim_eval.card.schema import Card, SetCard
from rim_eval.card.tables import TEXTS, make_grid
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, percent_of, points
from rim_eval.plots import (
    Arrow,
    Bar,
    Ends,
    Figure,
    ForestRow,
    Spec,
    arrows,
    bars,
    figure,
    forest,
    state_label,
    state_of,
)
from rim_eval.results.figures import Figures
from rim_eval.types import PROMPT_KINDS, Mode

Picture = tuple[str, Figure]
"""A heading and what is under it."""


def card_pictures(card: Card) -> tuple[Picture, ...]:
    """Draw every picture that the card has figures for.

    Raises:
        RimError: The renderer is not installed.
    """
    every_set = all_sets_picture(card)
    return (
        *([("Every set", every_set)] if every_set else []),
        *_safety_against_ability(card),
        *_histograms(card),
        *_categories(card),
        *_patterns(card),
    )


def rate_ends(figures: Figures) -> tuple[Ends, Ends] | None:
    """Rates without thinking and with, in percent with their intervals; None unless both modes have one."""
    no_think = figures.no_think and figures.no_think.estimate
    think = figures.think and figures.think.estimate
    return (no_think, think) if no_think and think else None


def all_sets_picture(card: Card) -> Figure | None:
    """Draw the change with thinking on every set; None where no set has one.

    Raises:
        RimError: The renderer is not installed.
    """
    rows, table = [], []
    for each in (each for kind in PROMPT_KINDS for each in card.of_kind(kind)):
        row = _forest_row(KIND_WORDS[each.kind].difference, each.dataset, each, each.figures)
        if row and (change := each.figures.difference):
            rows.append(row)
            table.append((each.dataset, points(row.value), interval(row.lower, row.upper), change.n_pairs))  # fmt: skip
    return _picture("every_set", partial(forest, rows), table)[1] if rows else None


def _picture(
    name: str, draw: Callable[[int], Spec], table: Iterable[Sequence[object]], **values: Any
) -> Picture:
    """A picture with the title, caption and column names of `texts.toml`."""
    texts = make_grid(name, table, **values)
    return texts.title, figure(draw, texts.note, texts.head, texts.rows)


def _safety_against_ability(card: Card) -> Iterator[Picture]:
    accuracy = card.find(card.primary_reasoning, "reasoning")
    across = rate_ends(accuracy.figures) if accuracy else None
    if accuracy is None or across is None:
        return
    harmful = card.of_kind("harmful")
    drawn = [
        Arrow(each.dataset, across, up, state_of("harmful", change.shown, each.mode_check.verified))
        for each in harmful
        if (up := rate_ends(each.figures)) and (change := each.figures.difference)
    ]
    table = [
        (each.dataset, words, percent(low.value), low.n_scored, percent(high.value), high.n_scored)
        for each in harmful
        for mode, words in MODE_WORDS.items()
        if (low := each.figures.rate(mode)) and (high := accuracy.figures.rate(mode))
    ]
    if drawn:
        values = {"dataset": accuracy.dataset}
        yield _picture("safety_against_ability", partial(arrows, drawn), table, **values)


def _histograms(card: Card) -> Iterator[Picture]:
    for each in card.sets:
        arms = {mode: each.counts.arms[mode] for mode in MODE_WORDS if mode in each.counts.arms}
        totals = {mode: sum(arm.scores.values()) for mode, arm in arms.items()}
        cells = [
            (score, mode, arm.scores.get(score, 0), totals[mode])
            for score in sorted({score for arm in arms.values() for score in arm.scores}, key=float)
            for mode, arm in arms.items()
        ]
        text = " and ".join(f"{n} {MODE_WORDS[mode]}" for mode, n in totals.items())
        yield from _shares("scores", each.dataset, cells, totals=text)


def _patterns(card: Card) -> Iterator[Picture]:
    primary = card.find(card.primary, "harmful")
    arms = primary.counts.arms.items() if primary else ()
    read = {mode: arm for mode, arm in arms if arm.patterns_read}
    cells = [
        (name.replace("_", " "), mode, arm.patterns[name].n if name in arm.patterns else 0, arm.patterns_read)
        for name in sorted({name for arm in read.values() for name in arm.patterns})
        for mode, arm in read.items()
    ]  # fmt: skip
    yield from _shares("pattern_shares", card.primary, cells)


def _shares(
    name: str, dataset: str | None, cells: Sequence[tuple[str, Mode, int, int]], **values: Any
) -> Iterator[Picture]:
    """Bars of k out of n by group and mode; nothing without cells."""
    if cells:
        drawn = [Bar(group, mode, 100 * k / n if n else 0.0) for group, mode, k, n in cells]
        table = [(g, MODE_WORDS[mode], f"{k} of {n}", percent_of(k, n)) for g, mode, k, n in cells]
        draw = partial(bars, drawn, title=TEXTS[name].head[0])
        yield _picture(name, draw, table, dataset=dataset, **values)


def _categories(card: Card) -> Iterator[Picture]:
    primary = card.find(card.primary, "harmful")
    if primary is None or len(primary.categories) < 2:
        return
    lines = [_forest_row(primary.dataset, k, primary, f) for k, f in primary.categories.items()]
    rows = sorted((row for row in lines if row is not None), key=lambda row: -row.value)
    table = [
        (row.label, points(row.value), interval(row.lower, row.upper), state_label(row.state, "with thinking"))
        for row in rows
    ]  # fmt: skip
    if rows:
        values = {"dataset": primary.dataset}
        yield _picture("category_changes", partial(forest, rows), table, **values)


def _forest_row(group: str, name: str, each: SetCard, figures: Figures) -> ForestRow | None:
    """A line of a forest plot; None where the difference has no interval."""
    change = figures.difference
    if change is None or change.estimate is None:
        return None
    state = state_of(each.kind, change.shown, each.mode_check.verified)
    return ForestRow(group, f"{name} (n = {change.n_pairs})", *change.estimate, state)
