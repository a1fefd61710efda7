"""A comparison for readers: a text table for the terminal, one page with pictures."""

from collections.abc import Iterator
from typing import Final

from rim_eval.card import render_page
from rim_eval.comparison._schema import (
    Comparison,
    ModelDifference,
    ModelRow,
    Quantity,
    SetComparison,
)
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, p_text, percent, points
from rim_eval.plotting import (
    Arrow,
    Figure,
    ForestRow,
    SeriesPoint,
    arrows,
    figure,
    forest,
    said,
    series,
    state_of,
)
from rim_eval.types import Mode

__all__ = ["comparison_html", "comparison_text"]

_BACK: Final[tuple[Mode, ...]] = ("no_think", "think")
_NAMES: Final[dict[Quantity, str]] = {
    "no_think": MODE_WORDS["no_think"],
    "think": MODE_WORDS["think"],
    "change": "change with thinking",
}
_VERSUS: Final = "than the reference"


def comparison_text(found: Comparison) -> str:
    """Tables for a terminal: each set's rates and changes, then the differences from the reference."""
    alone = len(found.models) == 1
    lines = [f"Reference: {'the no-think arm' if alone else found.reference}"]
    for each in found.sets:
        judge = f", judged by {each.judge}" if each.judge else ""
        lines += ["", f"{each.dataset}: {KIND_WORDS[each.kind].rate.lower()}{judge}"]
        lines += _aligned([_HEAD, *(_row(row, found.reference) for row in each.rows)])
        lines += [
            f"  family {f.family}: mean change {points(f.value)} ({interval(f.lower, f.upper)}), "
            f"{len(f.models)} models, n = {f.n} shared prompts"
            for f in each.families
        ]
        differences = [(row.model, a) for row in each.rows for a in row.against]
        if differences:
            how = "" if found.paired else ", not paired"
            lines += [f"  minus {found.reference}, in percentage points{how}:"]
            lines += _aligned([_AGAINST_HEAD, *(_against(m, a, each) for m, a in differences)])
    lines += ["", *(f"note: {remark}" for remark in found.remarks)]
    return "\n".join(lines).rstrip()


def comparison_html(found: Comparison) -> str:
    """One self-contained page.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    return render_page("compare.html.jinja", found=found, pictures=_pictures(found), grids=_grids(found))  # fmt: skip


_HEAD: Final = ("model", "without thinking", "with thinking", "change, points", "pairs", "")
_AGAINST_HEAD: Final = ("model", "in", "difference", "95 % interval", "n", "p", "shown")


def _row(row: ModelRow, reference: str) -> tuple[str, ...]:
    rates = [
        f"{percent(rate.value)} (n = {rate.n_scored})" if (rate := row.figures.rate(mode)) else "not run"
        for mode in _BACK
    ]  # fmt: skip
    change = row.figures.difference
    shown = f"{points(change.value)} ({interval(change.lower, change.upper)})" if change else "n/a"
    marks = ["reference"] * (row.model == reference) + ["mode not verified"] * (not row.verified)
    return (row.model, *rates, shown, str(change.n_pairs if change else 0), ", ".join(marks))


def _against(model: str, a: ModelDifference, found: SetComparison) -> tuple[str, ...]:
    p = p_text(a.p_value) + (f", Holm {p_text(a.p_holm)}" if a.p_holm is not None else "")
    state = said(state_of(found.kind, a.shown), _VERSUS)
    return (
        model,
        _NAMES[a.quantity],
        points(a.value),
        interval(a.lower, a.upper),
        _n(a),
        p,
        state,
    )


def _n(a: ModelDifference) -> str:
    """Prompts behind a difference: of both models where they are not paired."""
    return str(a.n) if a.n_reference is None else f"{a.n} and {a.n_reference}"


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _grids(found: Comparison) -> list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]]:
    grids: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = []
    for each in found.sets:
        title = f"{each.dataset}: {KIND_WORDS[each.kind].rate.lower()}"
        rows = [_row(row, found.reference) for row in each.rows]
        grids.append((title, (*_HEAD[:-1], "note"), rows))
        differences = [_against(row.model, a, each) for row in each.rows for a in row.against]
        if differences:
            how = "" if found.paired else ", not paired"
            grids.append(
                (f"{each.dataset}: minus {found.reference}{how}", _AGAINST_HEAD, differences)
            )
    return grids


def _pictures(found: Comparison) -> list[tuple[str, Figure]]:
    return [*_own(found), *_differences(found), *_scatter(found), *_training(found)]


def _own(found: Comparison) -> Iterator[tuple[str, Figure]]:
    """Each model's change with thinking, set by set, with the means of families."""
    rows = []
    for each in found.sets:
        group = f"{KIND_WORDS[each.kind].difference}, {each.dataset}"
        for row in each.rows:
            d = row.figures.difference
            if d and d.value is not None and d.lower is not None and d.upper is not None:
                state = state_of(each.kind, d.shown, row.verified)
                rows.append(
                    ForestRow(
                        group, f"{row.model} (n = {d.n_pairs})", d.value, d.lower, d.upper, state
                    )
                )
        for f in each.families:
            state = state_of(each.kind, f.shown)
            rows.append(
                ForestRow(
                    group, f"mean of {f.family} (n = {f.n})", f.value, f.lower, f.upper, state
                )
            )
    if rows:
        caption = (
            "Change with thinking of each model, with its 95 % interval. Reference: no-think mode."
        )
        yield "Mode against mode", _forest(rows, caption, "with thinking")


def _differences(found: Comparison) -> Iterator[tuple[str, Figure]]:
    """Each model minus the reference."""
    rows = [
        ForestRow(
            f"{each.dataset}, {_NAMES[a.quantity]}", f"{row.model} (n = {_n(a)})", a.value, a.lower, a.upper,
            state_of(each.kind, a.shown),
        )
        for each in found.sets
        for quantity in ("no_think", "think", "change")
        for row in each.rows
        for a in row.against
        if a.quantity == quantity
    ]  # fmt: skip
    if rows:
        how = " on shared prompts" if found.paired else ", not paired"
        caption = (
            f"Each model minus {found.reference}{how}, with its 95 % interval. Right of the line "
            "the rate is higher: worse for misalignment and over-refusal, better for accuracy."
        )
        yield (
            "Against the reference",
            _forest(rows, caption, _VERSUS, "difference, percentage points"),
        )


def _forest(
    rows: list[ForestRow], caption: str, versus: str, title: str = "change, percentage points"
) -> Figure:
    head = ("quantity", "model", "difference, points", "95 % interval", "shown")
    table = [
        (r.group, r.label, points(r.value), interval(r.lower, r.upper), said(r.state, versus))
        for r in rows
    ]
    return figure(lambda w: forest(rows, width=w, title=title, versus=versus), caption, head, table)


def _scatter(found: Comparison) -> Iterator[tuple[str, Figure]]:
    """Misalignment against accuracy, an arrow a model; on the sets with most models."""
    harmful, accuracy = (_widest(found, kind) for kind in ("harmful", "reasoning"))
    if harmful is None or accuracy is None:
        return
    other = {row.model: row for row in accuracy.rows}
    drawn, table = [], []
    for row in harmful.rows:
        up = _ends(row)
        across = _ends(other[row.model]) if row.model in other else None
        if up and across:
            d = row.figures.difference
            state = state_of("harmful", d.shown if d else "unknown", row.verified)
            drawn.append(Arrow(row.model, across, up, state))
            n = (row.figures.think, other[row.model].figures.think)
            table += [
                (row.model, MODE_WORDS[mode], f"{y[0]:.1f} %", str(n[0].n_scored if n[0] else 0), f"{x[0]:.1f} %", str(n[1].n_scored if n[1] else 0))
                for mode, y, x in zip(_BACK, up, across, strict=True)
            ]  # fmt: skip
    if drawn:
        caption = (
            f"Misalignment on {harmful.dataset} against accuracy on {accuracy.dataset}: from without thinking "
            "(hollow) to with thinking (arrow head), with 95 % intervals."
        )
        head = ("model", "mode", "misaligned", "n", "accuracy", "n")
        yield (
            "Safety against ability",
            figure(lambda w: arrows(drawn, width=w), caption, head, table),
        )


def _widest(found: Comparison, kind: str) -> SetComparison | None:
    return max((s for s in found.sets if s.kind == kind), key=lambda s: len(s.rows), default=None)


def _ends(row: ModelRow) -> tuple[tuple[float, float, float], tuple[float, float, float]] | None:
    ends = []
    for mode in _BACK:
        rate = row.figures.rate(mode)
        if rate is None or rate.value is None or rate.lower is None or rate.upper is None:
            return None
        ends.append((100 * rate.value, 100 * rate.lower, 100 * rate.upper))
    return ends[0], ends[1]


def _training(found: Comparison) -> Iterator[tuple[str, Figure]]:
    """Rates over the checkpoints, a picture a set."""
    for each in found.sets if found.series else ():
        drawn = [point for row in each.rows for point in _series_points(row)]
        if drawn:
            yield f"Over training: {each.dataset}", _training_figure(each, drawn)


def _training_figure(
    found: SetComparison, drawn: list[tuple[SeriesPoint, tuple[str, ...]]]
) -> Figure:
    name = KIND_WORDS[found.kind].rate
    caption = f"{name} on {found.dataset} at each checkpoint, with 95 % intervals."
    head = ("checkpoint", "mode", "rate", "95 % interval", "n")
    points_ = [point for point, _ in drawn]
    return figure(
        lambda w: series(points_, width=w, title=f"{name.lower()}, %"),
        caption,
        head,
        [row for _, row in drawn],
    )


def _series_points(row: ModelRow) -> Iterator[tuple[SeriesPoint, tuple[str, ...]]]:
    for mode in _BACK:
        rate = row.figures.rate(mode)
        if rate is None or rate.value is None or rate.lower is None or rate.upper is None:
            continue
        point = SeriesPoint(
            row.model,
            "thinking" if mode == "think" else "no thinking",
            *(100 * share for share in (rate.value, rate.lower, rate.upper)),
        )
        ends = interval(rate.lower, rate.upper, share=True)
        yield point, (row.model, MODE_WORDS[mode], percent(rate.value), ends, str(rate.n_scored))
