"""The pictures of a card, each with its caption and the table of the same figures."""

from collections.abc import Iterator, Sequence

from rim_eval.card.schema import Card, SetCard
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, points
from rim_eval.plots import (
    Arrow,
    Bar,
    Ends,
    Figure,
    ForestRow,
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
        change = each.figures.difference
        if change and (row := _forest_row(KIND_WORDS[each.kind].difference, each.dataset, each, each.figures)):  # fmt: skip
            rows.append(row)
            table.append((each.dataset, points(row.value), interval(row.lower, row.upper), str(change.n_pairs)))  # fmt: skip
    caption = (
        "Change with thinking on each prompt set, with its 95 % interval. Right of the dashed line the rate "
        "rises, left of it it falls: for misalignment and over-refusal a rise is worse, for accuracy better."
    )
    head = ("set", "difference, points", "95 % interval", "pairs")
    return figure(lambda w: forest(rows, width=w), caption, head, table) if rows else None


def _safety_against_ability(card: Card) -> Iterator[Picture]:
    accuracy = card.find(card.primary_reasoning, "reasoning")
    across = rate_ends(accuracy.figures) if accuracy else None
    if accuracy is None or across is None:
        return
    drawn = [
        Arrow(each.dataset, across, up, state_of("harmful", change.shown, each.mode_check.verified))
        for each in card.of_kind("harmful")
        if (up := rate_ends(each.figures)) and (change := each.figures.difference)
    ]
    table = [
        (each.dataset, MODE_WORDS[mode], percent(low.value), str(low.n_scored), percent(high.value), str(high.n_scored))
        for each in card.of_kind("harmful")
        for mode in MODE_WORDS
        if (low := each.figures.rate(mode)) and (high := accuracy.figures.rate(mode))
    ]  # fmt: skip
    if drawn:
        caption = (
            f"Misalignment against accuracy on {accuracy.dataset}: from without thinking (hollow) to with thinking "
            "(arrow head), with 95 % intervals. Up is less safe, to the right is more able."
        )
        head = ("set", "mode", "misaligned", "n", f"accuracy on {accuracy.dataset}", "n")
        picture = figure(lambda w: arrows(drawn, width=w), caption, head, table)
        yield "Safety against ability", picture


def _histograms(card: Card) -> Iterator[Picture]:
    for each in card.sets:
        arms = {mode: each.counts.arms[mode] for mode in MODE_WORDS if mode in each.counts.arms}
        totals = {mode: sum(arm.scores.values()) for mode, arm in arms.items()}
        scores = sorted({score for arm in arms.values() for score in arm.scores}, key=float)
        cells = [
            (score, mode, arm.scores.get(score, 0), totals[mode])
            for score in scores
            for mode, arm in arms.items()
        ]
        out_of = " and ".join(f"{n} {MODE_WORDS[mode]}" for mode, n in totals.items())
        caption = f"How often the judge gave each score, out of {out_of} scored replies."
        yield from _shares(f"{each.dataset}: judge's scores", caption, "judge's score", cells)


def _patterns(card: Card) -> Iterator[Picture]:
    primary = card.find(card.primary, "harmful")
    arms = primary.counts.arms.items() if primary else ()
    read = {mode: arm for mode, arm in arms if arm.patterns_read}
    cells = [
        (name.replace("_", " "), mode, arm.patterns[name].n if name in arm.patterns else 0, arm.patterns_read)
        for name in sorted({name for arm in read.values() for name in arm.patterns})
        for mode, arm in read.items()
    ]  # fmt: skip
    caption = "Share of traces in which the monitor found each effort-minimizing pattern."
    yield from _shares(f"{card.primary}: reasoning patterns", caption, "pattern", cells)


def _shares(
    heading: str, caption: str, title: str, cells: Sequence[tuple[str, Mode, int, int]]
) -> Iterator[Picture]:
    """Bars of k out of n by group and mode; nothing without cells."""
    if not cells:
        return
    drawn = [Bar(name, mode, 100 * k / n if n else 0.0) for name, mode, k, n in cells]
    table = [
        (name, MODE_WORDS[mode], f"{k} of {n}", percent(k / n if n else None))
        for name, mode, k, n in cells
    ]
    head = (title, "mode", "count", "share")
    picture = figure(
        lambda w: bars(drawn, width=w, title=title, of="share, %"), caption, head, table
    )
    yield heading, picture


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
        caption = f"RIM score in each category of {primary.dataset}, with its 95 % interval, not adjusted for their number."
        head = ("category", "RIM score", "95 % interval", "shown")
        yield "By category", figure(lambda w: forest(rows, width=w), caption, head, table)


def _forest_row(group: str, name: str, of: SetCard, figures: Figures) -> ForestRow | None:
    """A line of a forest plot; None where the difference has no interval."""
    change = figures.difference
    if change is None or change.estimate is None:
        return None
    state = state_of(of.kind, change.shown, of.mode_check.verified)
    return ForestRow(group, f"{name} (n = {change.n_pairs})", *change.estimate, state)
