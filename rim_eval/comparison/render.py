"""A comparison for readers: text tables for the terminal, and one HTML page with pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rim_eval import plots
from rim_eval.card import Picture, rate_ends, render_page
from rim_eval.comparison.family_render import (
    FAMILY_HEAD,
    family_forest,
    family_notes,
    family_rows,
    over_sets_forest,
    over_sets_rows,
    over_sets_title,
)
from rim_eval.comparison.schema import (
    QUANTITIES,
    Comparison,
    ModelDifference,
    Quantity,
    SetComparison,
)
from rim_eval.formatting import (
    KIND_WORDS,
    MODE_WORDS,
    estimate,
    interval,
    p_text,
    percent,
    points,
)
from rim_eval.types import PromptKind

Row = tuple[str, ...]

QUANTITY_WORDS: Final[dict[Quantity, str]] = {
    "no_think": MODE_WORDS["no_think"],
    "think": MODE_WORDS["think"],
    "change": "change with thinking",
}
_VERSUS: Final = "than the reference"
HEAD: Final = ("model", "without thinking", "with thinking", "change, points", "pairs", "note")
AGAINST_HEAD: Final = ("model", "in", "difference", "95 % interval", "n", "p", "significance")


def comparison_text(comparison: Comparison) -> str:
    """Write tables for a terminal: each set's rates and changes, then the differences from the reference."""
    alone = len(comparison.models) == 1
    lines = [f"Reference: {'the no-think arm' if alone else comparison.reference}"]
    for each in comparison.sets:
        judge = f", judged by {each.judge}" if each.judge else ""
        lines += ["", f"{_title(each)}{judge}"]
        lines += aligned([(*HEAD[:-1], ""), *own_rows(each, comparison)])
        if means := list(family_rows(each)):
            lines += ["  families:", *aligned([FAMILY_HEAD, *means])]
        if differences := list(against_rows(each)):
            lines += [f"  {_minus(comparison)}:", *aligned([AGAINST_HEAD, *differences])]
    for found in comparison.families:
        lines += [
            "",
            over_sets_title(found),
            *aligned([FAMILY_HEAD, *over_sets_rows(found, comparison)]),
        ]
    notes = (*comparison.remarks, *family_notes(comparison))
    lines += ["", *(f"note: {note}" for note in notes)]
    return "\n".join(lines).rstrip()


def comparison_html(comparison: Comparison) -> str:
    """Render one self-contained page.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    pictures = [
        *_own_changes(comparison),
        *difference_pictures(comparison),
        *_safety_against_ability(comparison),
        *training_pictures(comparison),
    ]
    grids: list[tuple[str, Row, list[Row]]] = []
    for each in comparison.sets:
        grids.append((_title(each), HEAD, list(own_rows(each, comparison))))
        if differences := list(against_rows(each)):
            grids.append((f"{each.dataset}: {_minus(comparison)}", AGAINST_HEAD, differences))
    families = [
        (f"{_title(each)}, families", FAMILY_HEAD, list(family_rows(each)))
        for each in comparison.sets
        if each.families
    ]
    families += [
        (over_sets_title(found), FAMILY_HEAD, list(over_sets_rows(found, comparison)))
        for found in comparison.families
    ]
    template = Path(__file__).with_name("compare.html.jinja")
    notes = list(family_notes(comparison))
    return render_page(
        template,
        comparison=comparison,
        pictures=pictures,
        grids=grids,
        families=families,
        notes=notes,
    )


def _minus(comparison: Comparison) -> str:
    how = "" if comparison.paired else ", not paired"
    return f"minus {comparison.reference}, in percentage points{how}"


def _title(each: SetComparison) -> str:
    return f"{each.dataset}: {KIND_WORDS[each.kind].rate.lower()}"


def own_rows(each: SetComparison, comparison: Comparison) -> Iterator[Row]:
    """Each model's own rates and change."""
    for row in each.rows:
        rates = [
            f"{percent(rate.value)} (n = {rate.n_scored})" if rate else row.figures.absent
            for rate in map(row.figures.rate, MODE_WORDS)
        ]
        change = row.figures.difference
        text = estimate(change.value, change.lower, change.upper) if change else "n/a"
        marks = ["reference"] * (row.model == comparison.reference)
        marks += ["mode not verified"] * (not row.verified)
        yield (row.model, *rates, text, str(change.n_pairs if change else 0), ", ".join(marks))


def against_rows(each: SetComparison) -> Iterator[Row]:
    """Each model minus the reference, quantity by quantity."""
    for row in each.rows:
        for a in row.against:
            p = p_text(a.p_value) + ("" if a.p_holm is None else f", Holm {p_text(a.p_holm)}")
            state = plots.state_label(plots.state_of(each.kind, a.significance), _VERSUS)
            cells = (points(a.value), interval(a.lower, a.upper), _n(a), p, state)
            yield (row.model, QUANTITY_WORDS[a.quantity], *cells)


def _n(a: ModelDifference) -> str:
    """Prompts behind a difference: of both models where they are not paired."""
    return str(a.n) if a.n_reference is None else f"{a.n} and {a.n_reference}"


def aligned(rows: Sequence[Row]) -> list[str]:
    """Write rows as lines whose columns are as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"  {'  '.join(map(str.ljust, row, widths))}".rstrip() for row in rows]


def _own_changes(comparison: Comparison) -> Iterator[Picture]:
    """Each model's change with thinking, set by set, with the means of families."""
    rows = []
    for each in comparison.sets:
        group = f"{KIND_WORDS[each.kind].difference}, {each.dataset}"
        for row in each.rows:
            change = row.figures.difference
            if change and change.estimate:
                state = plots.state_of(each.kind, change.significance, row.verified)
                label = f"{row.model} (n = {change.n_pairs})"
                rows.append(plots.ForestRow(group, label, *change.estimate, state))
        rows += family_forest(each, group)
    for found in comparison.families:
        rows += over_sets_forest(found, comparison)
    caption = (
        "Change with thinking of each model, with its 95 % interval. Reference: no-think mode."
    )
    if any(each.families for each in comparison.sets):
        caption += (
            " Of a family: the mean of these models for other prompts, the mean of other models, and where the next model "
            "is expected (dashed: prediction interval)."
        )
    title = "change, percentage points"
    yield from _forest("Mode against mode", rows, caption, "with thinking", title)


def difference_pictures(comparison: Comparison) -> Iterator[Picture]:
    """Each model minus the reference."""
    rows = [
        plots.ForestRow(
            f"{each.dataset}, {QUANTITY_WORDS[quantity]}", f"{row.model} (n = {_n(a)})", a.value, a.lower, a.upper,
            plots.state_of(each.kind, a.significance),
        )
        for each in comparison.sets
        for quantity in QUANTITIES
        for row in each.rows
        for a in row.against
        if a.quantity == quantity
    ]  # fmt: skip
    how = " on shared prompts" if comparison.paired else ", not paired"
    caption = (
        f"Each model minus {comparison.reference}{how}, with its 95 % interval. Right of the line "
        "the rate is higher: worse for misalignment and over-refusal, better for accuracy."
    )
    title = "difference, percentage points"
    yield from _forest("Against the reference", rows, caption, _VERSUS, title)


def _forest(
    heading: str, rows: Sequence[plots.ForestRow], caption: str, versus: str, title: str
) -> Iterator[Picture]:
    head = ("quantity", "model", "difference, points", "95 % interval", "significance")
    table = [
        (r.group, r.label, points(r.value), interval(r.lower, r.upper), plots.state_label(r.state, versus))
        for r in rows
    ]  # fmt: skip
    if rows:
        draw = lambda w: plots.forest(rows, width=w, title=title, versus=versus)  # noqa: E731
        yield heading, plots.figure(draw, caption, head, table)


def _safety_against_ability(comparison: Comparison) -> Iterator[Picture]:
    """Misalignment against accuracy, an arrow a model; on the sets with most models."""

    def widest(kind: PromptKind) -> SetComparison | None:
        of_kind = (each for each in comparison.sets if each.kind == kind)
        return max(of_kind, key=lambda each: len(each.rows), default=None)

    harmful, accuracy = widest("harmful"), widest("reasoning")
    if harmful is None or accuracy is None:
        return
    abilities = {row.model: row.figures for row in accuracy.rows}
    drawn, table = [], []
    for row in harmful.rows:
        ability, up = abilities.get(row.model), rate_ends(row.figures)
        if ability and up and (across := rate_ends(ability)):
            change = row.figures.difference
            state = plots.state_of(
                "harmful", change.significance if change else "unknown", row.verified
            )
            drawn.append(plots.Arrow(row.model, across, up, state))
            table += [
                (row.model, words, percent(low.value), str(low.n_scored), percent(high.value), str(high.n_scored))
                for mode, words in MODE_WORDS.items()
                if (low := row.figures.rate(mode)) and (high := ability.rate(mode))
            ]  # fmt: skip
    if drawn:
        caption = (
            f"Misalignment on {harmful.dataset} against accuracy on {accuracy.dataset}: from without thinking "
            "(hollow) to with thinking (arrow head), with 95 % intervals."
        )
        head = ("model", "mode", "misaligned", "n", "accuracy", "n")
        picture = plots.figure(lambda w: plots.arrows(drawn, width=w), caption, head, table)
        yield "Safety against ability", picture


def training_pictures(comparison: Comparison) -> Iterator[Picture]:
    """Rates over the checkpoints, a picture a set."""
    for each in comparison.sets if comparison.series else ():
        rates = [
            (row.model, mode, rate, rate.estimate)
            for row in each.rows
            for mode in MODE_WORDS
            if (rate := row.figures.rate(mode)) and rate.estimate
        ]
        if rates:
            dots = [plots.SeriesPoint(model, mode, *ends) for model, mode, _, ends in rates]
            table = [
                (model, MODE_WORDS[mode], percent(rate.value), interval(rate.lower, rate.upper, share=True), str(rate.n_scored))
                for model, mode, rate, _ in rates
            ]  # fmt: skip
            name = KIND_WORDS[each.kind].rate
            caption = f"{name} on {each.dataset} at each checkpoint, with 95 % intervals."
            head = ("checkpoint", "mode", "rate", "95 % interval", "n")
            title = f"{name.lower()}, %"
            draw = lambda w, dots=dots, title=title: plots.series(dots, width=w, title=title)  # noqa: E731
            yield f"Over training: {each.dataset}", plots.figure(draw, caption, head, table)
