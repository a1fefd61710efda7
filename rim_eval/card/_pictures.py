"""The pictures of a card."""

from collections.abc import Iterator, Sequence
from typing import Final

from rim_eval.card._schema import Card, SetCard
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, percent, points
from rim_eval.plotting import (
    Arrow,
    Bar,
    Figure,
    ForestRow,
    arrows,
    bars,
    figure,
    forest,
    said,
    state_of,
)
from rim_eval.types import PROMPT_KINDS, Mode

__all__ = ["pictures"]

_BACK: Final[tuple[Mode, ...]] = ("no_think", "think")
_ARM_NAMES: Final[dict[Mode, str]] = {"no_think": "no thinking", "think": "thinking"}


def pictures(card: Card) -> tuple[tuple[str, Figure], ...]:
    """Every picture with its heading; one is left out where there is nothing to draw."""
    return (
        *_forests(card),
        *_arrows(card),
        *_histograms(card),
        *_categories(card),
        *_patterns(card),
    )


def _forests(card: Card) -> Iterator[tuple[str, Figure]]:
    rows, table = [], []
    for kind in PROMPT_KINDS:
        for found in card.of_kind(kind):
            row = _forest_row(found, KIND_WORDS[kind].difference)
            if row is not None:
                rows.append(row)
                table.append(_table_row(found.dataset, found))
    if not rows:
        return
    caption = (
        "Change with thinking on each prompt set, with its 95 % interval. Right of the dashed line the rate "
        "rises, left of it it falls: for misalignment and over-refusal a rise is worse, for accuracy better."
    )
    head = ("set", "difference, points", "95 % interval", "pairs")
    yield "Every set", figure(lambda w: forest(rows, width=w), caption, head, table)


def _forest_row(found: SetCard, group: str) -> ForestRow | None:
    shown = found.figures.difference
    if shown is None or shown.value is None or shown.lower is None or shown.upper is None:
        return None
    label = f"{found.dataset} (n = {shown.n_pairs})"
    state = state_of(found.kind, shown.shown, found.gate.verified)
    return ForestRow(group, label, shown.value, shown.lower, shown.upper, state)


def _table_row(name: str, found: SetCard) -> tuple[str, ...]:
    shown = found.figures.difference
    if shown is None:
        return (name, "n/a", "n/a", "0")
    return (name, points(shown.value), interval(shown.lower, shown.upper), str(shown.n_pairs))


def _arrows(card: Card) -> Iterator[tuple[str, Figure]]:
    accuracy = card.find(card.primary_reasoning, "reasoning")
    drawn = [a for s in card.of_kind("harmful") if accuracy and (a := _arrow(s, accuracy))]
    if not drawn or accuracy is None:
        return
    caption = (
        f"Misalignment against accuracy on {accuracy.dataset}: from without thinking (hollow) to with thinking "
        "(arrow head), with 95 % intervals. Up is less safe, to the right is more able."
    )
    head = ("set", "mode", "misaligned", "n", f"accuracy on {accuracy.dataset}", "n")
    table = [
        (found.dataset, MODE_WORDS[mode], percent(low.value), str(low.n_scored), percent(high.value), str(high.n_scored))
        for found in card.of_kind("harmful")
        for mode in _BACK
        if (low := found.figures.rate(mode)) and (high := accuracy.figures.rate(mode))
    ]  # fmt: skip
    yield "Safety against ability", figure(lambda w: arrows(drawn, width=w), caption, head, table)


def _arrow(found: SetCard, accuracy: SetCard) -> Arrow | None:
    ends = [_ends(found, mode) for mode in _BACK]
    across = [_ends(accuracy, mode) for mode in _BACK]
    if None in ends or None in across or found.figures.difference is None:
        return None
    shown = found.figures.difference
    state = state_of("harmful", shown.shown, found.gate.verified)
    return Arrow(found.dataset, (across[0], across[1]), (ends[0], ends[1]), state)  # type: ignore[arg-type]


def _ends(found: SetCard, mode: Mode) -> tuple[float, float, float] | None:
    rate = found.figures.rate(mode)
    if rate is None or rate.value is None or rate.lower is None or rate.upper is None:
        return None
    return 100 * rate.value, 100 * rate.lower, 100 * rate.upper


def _histograms(card: Card) -> Iterator[tuple[str, Figure]]:
    for found in card.sets:
        arms = found.counts.arms
        scores = sorted({score for arm in arms.values() for score in arm.scores}, key=float)
        if not scores:
            continue
        cells = [
            (score, mode, arms[mode].scores.get(score, 0), sum(arms[mode].scores.values()))
            for score in scores
            for mode in _BACK
            if mode in arms
        ]
        yield from _bar_picture(
            f"{found.dataset}: judge's scores",
            f"How often the judge gave each score, out of {_totals(found)} scored replies.",
            "judge's score",
            cells,
        )


def _totals(found: SetCard) -> str:
    arms = found.counts.arms
    return " and ".join(
        f"{sum(arms[mode].scores.values())} {MODE_WORDS[mode]}" for mode in _BACK if mode in arms
    )


def _patterns(card: Card) -> Iterator[tuple[str, Figure]]:
    for found in (card.find(card.primary, "harmful"),):
        if found is None:
            return
        read = {mode: arm for mode, arm in found.counts.arms.items() if arm.patterns_read}
        names = sorted({name for arm in read.values() for name in arm.patterns})
        cells = [
            (name.replace("_", " "), mode, arm.patterns[name].n if name in arm.patterns else 0, arm.patterns_read)
            for name in names
            for mode, arm in read.items()
        ]  # fmt: skip
        if cells:
            title = f"{found.dataset}: reasoning patterns"
            caption = "Share of traces in which the monitor found each effort-minimizing pattern."
            yield from _bar_picture(title, caption, "pattern", cells)


def _bar_picture(
    heading: str, caption: str, title: str, cells: Sequence[tuple[str, Mode, int, int]]
) -> Iterator[tuple[str, Figure]]:
    drawn = [Bar(name, _ARM_NAMES[mode], 100 * k / n if n else 0.0) for name, mode, k, n in cells]  # type: ignore[arg-type]
    table = [
        (name, MODE_WORDS[mode], f"{k} of {n}", percent(k / n if n else None))
        for name, mode, k, n in cells
    ]
    head = (title, "mode", "count", "share")
    yield (
        heading,
        figure(lambda w: bars(drawn, width=w, title=title, of="share, %"), caption, head, table),
    )


def _categories(card: Card) -> Iterator[tuple[str, Figure]]:
    found = card.find(card.primary, "harmful")
    if found is None or len(found.categories) < 2:
        return
    rows = [
        ForestRow(
            found.dataset, f"{name} (n = {d.n_pairs})", d.value, d.lower, d.upper,
            state_of("harmful", d.shown, found.gate.verified),
        )
        for name, figures in found.categories.items()
        if (d := figures.difference) and d.value is not None and d.lower is not None and d.upper is not None
    ]  # fmt: skip
    if not rows:
        return
    rows.sort(key=lambda row: -row.value)
    caption = f"RIM score in each category of {found.dataset}, with its 95 % interval, not adjusted for their number."
    table = [
        (
            row.label,
            points(row.value),
            interval(row.lower, row.upper),
            said(row.state, "with thinking"),
        )
        for row in rows
    ]
    head = ("category", "RIM score", "95 % interval", "shown")
    yield "By category", figure(lambda w: forest(rows, width=w), caption, head, table)
