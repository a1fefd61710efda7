"""Pictures of a comparison: rates of all models on a set, over training, and against the reference."""

from collections.abc import Iterator, Sequence

from rim_eval import plots
from rim_eval.card import Picture
from rim_eval.comparison.finding import headline_quantity, state_against
from rim_eval.comparison.schema import QUANTITIES, ModelRow, SetComparison
from rim_eval.comparison.tables import (
    QUANTITY_WORDS,
    VERSUS,
    prompts,
)
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, estimate, interval, percent, points


def rates_picture(
    each: SetComparison, reference: str, *, order: Sequence[str] = (), first: bool = True
) -> plots.Figure | None:
    """Draw the rates of all models on a set; None where no model has one.

    Args:
        each: The set.
        reference: Name of the reference.
        order: Models in the order to show them in; others follow.
        first: Whether the picture is the first of its page and explains how it is drawn.

    Raises:
        RimError: The renderer is not installed.
    """
    quantity, alone = headline_quantity(each), not any(row.against for row in each.rows)
    place = {model: index for index, model in enumerate(order)}
    ordered = sorted(each.rows, key=lambda row: place.get(row.model, len(place)))
    models = [_model_rates(each, row, reference) for row in ordered]
    models = [model for model in models if model.no_think or model.think]
    if not models:
        return None
    words = KIND_WORDS[each.kind]
    base = None if alone else each.row(reference)
    line = base.figures.rate("no_think" if quantity == "no_think" else "think") if base else None
    caption = f"{words.means[0].upper()}{words.means[1:]}."
    if first:
        caption += " Hollow: without thinking; filled: with; wide bars: 95 % intervals."
    if line and first:
        mode = MODE_WORDS["no_think" if quantity == "no_think" else "think"]
        caption += f" Dashed: {reference} {mode}. At the right: {QUANTITY_WORDS[quantity]}, minus {reference}, in points."
    level = 100 * line.value if line and line.value is not None else None
    versus = "with thinking" if alone else VERSUS
    title = f"{words.rate.lower()}, %"
    head = ("model", "mode", words.rate.lower(), "95 % interval", "n")

    def draw(width: int) -> plots.Spec:
        return plots.rates(models, width, title=title, versus=versus, level=level, legend=first)

    return plots.figure(draw, caption, head, list(_rate_table(ordered)))


def picture_order(each: SetComparison | None, reference: str) -> list[str]:
    """Models in the order of a page's pictures: the reference, then by their difference from it, the worst first.

    Args:
        each: The set of the finding.
        reference: Name of the reference.
    """
    if each is None:
        return []
    quantity, sign = headline_quantity(each), 1 if each.kind == "reasoning" else -1
    found = {row.model: row.difference(quantity) for row in each.rows}
    values = {model: sign * difference.value for model, difference in found.items() if difference}
    return [reference, *sorted(values, key=lambda model: values[model])]


def _model_rates(each: SetComparison, row: ModelRow, reference: str) -> plots.ModelRates:
    """A model's line: its rates, and the difference that the finding is about; of one model alone, its own change."""
    no_think, think = (
        rate.estimate if rate else None for rate in map(row.figures.rate, MODE_WORDS)
    )
    if not any(other.against for other in each.rows):
        change = row.figures.difference
        state = plots.state_of(each.kind, change.significance if change else "unknown", row.verified)  # fmt: skip
        note = estimate(change.value, change.lower, change.upper) if change else "one mode"
        return plots.ModelRates(row.model, no_think, think, state, note)
    if row.model == reference:
        return plots.ModelRates(row.model, no_think, think, None, "reference")
    quantity = headline_quantity(each)
    found = row.difference(quantity)
    note = estimate(found.value, found.lower, found.upper) if found else "not compared"
    return plots.ModelRates(
        row.model, no_think, think, state_against(each, row, quantity, reference), note
    )


def _rate_table(rows: Sequence[ModelRow]) -> Iterator[tuple[str, ...]]:
    """Every mark of the picture with its interval and n."""
    for row in rows:
        for mode, words in MODE_WORDS.items():
            if rate := row.figures.rate(mode):
                ends = interval(rate.lower, rate.upper, share=True)
                yield row.model, words, percent(rate.value), ends, str(rate.n_scored)


def training_pictures(sets: Sequence[SetComparison]) -> Iterator[Picture]:
    """Rates over the checkpoints, a picture a set."""
    for each in sets:
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


def difference_pictures(
    sets: Sequence[SetComparison], reference: str, *, paired: bool
) -> Iterator[Picture]:
    """Each model minus the reference.

    Args:
        sets: The sets.
        reference: Name of the reference.
        paired: Whether models are compared prompt by prompt.
    """
    rows = [
        plots.ForestRow(
            f"{each.dataset}, {QUANTITY_WORDS[quantity]}", f"{row.model} (n = {prompts(a)})", a.value, a.lower, a.upper,
            state_against(each, row, quantity, reference),
        )
        for each in sets
        for quantity in QUANTITIES
        for row in each.rows
        for a in row.against
        if a.quantity == quantity
    ]  # fmt: skip
    how = " on shared prompts" if paired else ", not paired"
    caption = (
        f"Each model minus {reference}{how}, with its 95 % interval. Right of the line "
        "the rate is higher: worse for misalignment and over-refusal, better for accuracy."
    )
    title = "difference, percentage points"
    yield from forest_picture("Against the reference", rows, caption, VERSUS, title)


def forest_picture(
    heading: str, rows: Sequence[plots.ForestRow], caption: str, versus: str, title: str
) -> Iterator[Picture]:
    """Draw differences with their intervals; nothing without any.

    Args:
        heading: Title of the picture.
        rows: Its lines.
        caption: What is to be seen.
        versus: What is worse or better, for the legend.
        title: Title of the axis.
    """
    head = ("quantity", "model", "difference, points", "95 % interval", "significance")
    table = [
        (r.group, r.label, points(r.value), interval(r.lower, r.upper), plots.state_label(r.state, versus))
        for r in rows
    ]  # fmt: skip
    if rows:
        draw = lambda w: plots.forest(rows, width=w, title=title, versus=versus)  # noqa: E731
        yield heading, plots.figure(draw, caption, head, table)
