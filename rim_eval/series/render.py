"""A series for readers: tables for the terminal, Markdown, and one HTML page with the curves over training."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rim_eval import plots
from rim_eval.card import Picture, escape_markdown, page_environment, render_page
from rim_eval.comparison import comparison_text
from rim_eval.comparison.pictures import difference_pictures, training_pictures
from rim_eval.comparison.schema import Quantity
from rim_eval.comparison.tables import (
    AGAINST_HEAD,
    HEAD,
    QUANTITY_WORDS,
    Row,
    against_rows,
    aligned,
    own_rows,
)
from rim_eval.formatting import KIND_WORDS, interval, p_text, points
from rim_eval.series.schema import SeriesReport, SeriesTrend
from rim_eval.types import PROMPT_KINDS, PromptKind

TREND_HEAD: Final[Row] = (
    "set",
    "figure",
    "trend, points",
    "95 % interval",
    "n",
    "p",
    "significance",
)
_VERSUS: Final = "over the series"

CAUTION: Final = (
    "The models of one training run are not independent of each other, and the prompts are what the intervals and tests "
    "draw: a trend says that this behaviour changed along this run, not why, and not that another run would show it."
)

Grid = tuple[str, Row, list[Row]]
"""A table: its title, its column names and its rows."""


def series_text(report: SeriesReport) -> str:
    """Write tables for a terminal: rates and differences set by set, then the trends."""
    lines = [comparison_text(report.comparison)]
    if report.trends:
        lines += ["", f"Trend {_span(report)}, in percentage points:"]
        lines += [*aligned([TREND_HEAD, *trend_rows(report)]), "", textwrap.fill(CAUTION, width=88)]
    return "\n".join(lines)


def series_markdown(report: SeriesReport) -> str:
    """Render the report as Markdown."""
    environment = page_environment(Path(__file__).parent, {"md": escape_markdown}, autoescape=False)
    text = environment.get_template("series.md.jinja").render(**_values(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def series_html(report: SeriesReport) -> str:
    """Render one self-contained page, with the curves of every set over the series.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    found = report.comparison
    pictures = [
        *training_pictures(found.sets),
        *_trend_picture(report),
        *difference_pictures(found.sets, found.reference, paired=found.paired),
    ]
    return render_page(
        Path(__file__).with_name("series.html.jinja"), pictures=pictures, **_values(report)
    )


def trend_rows(report: SeriesReport) -> list[Row]:
    """One row a trend."""
    return [
        (
            each.dataset,
            figure_name(each.kind, each.quantity),
            points(each.value),
            interval(each.lower, each.upper),
            str(each.n),
            p_text(each.p_value),
            plots.state_label(_state(each), _VERSUS),
        )
        for each in report.trends
    ]


def figure_name(kind: PromptKind, quantity: Quantity) -> str:
    """Name a figure of a series: `misalignment with thinking`, `RIM score`."""
    words = KIND_WORDS[kind]
    if quantity == "change":
        return words.difference if kind == "harmful" else words.difference.lower()
    return f"{words.rate.lower()} {QUANTITY_WORDS[quantity]}"


def _state(trend: SeriesTrend) -> plots.State:
    return plots.state_of(trend.kind, trend.significance)


def _span(report: SeriesReport) -> str:
    first, *_, last = report.comparison.models
    return f"from {first} to {last}"


def _spacing(report: SeriesReport) -> str:
    """Where the models stand on the line of the trend."""
    if report.steps is None:
        return "The trend takes the models as evenly spaced."
    at = ", ".join(f"{step:g}" for step in report.steps)
    return f"The trend takes the models to stand at {at}."


def _values(report: SeriesReport) -> dict[str, object]:
    """What the templates show."""
    comparison = report.comparison
    grids: list[Grid] = []
    if report.trends:
        grids.append((f"Trend {_span(report)}", TREND_HEAD, trend_rows(report)))
    for each in comparison.sets:
        title = f"{each.dataset}: {KIND_WORDS[each.kind].rate.lower()}"
        grids.append((title, HEAD, list(own_rows(each, comparison.reference))))
        if rows := list(against_rows(each, comparison.reference)):
            minus = f"{each.dataset}: minus {comparison.reference}, in percentage points"
            grids.append((minus, AGAINST_HEAD, rows))
    return {
        "report": report,
        "comparison": comparison,
        "grids": grids,
        "caution": CAUTION,
        "spacing": _spacing(report),
        "methods": sorted({each.method for each in report.trends}),
    }


def _trend_picture(report: SeriesReport) -> Iterator[Picture]:
    """Draw the trends as differences with their intervals."""
    rows = [
        plots.ForestRow(
            f"{KIND_WORDS[each.kind].rate}, {each.dataset}",
            f"{figure_name(each.kind, each.quantity)} (n = {each.n})",
            each.value, each.lower, each.upper, _state(each),
        )
        for kind in PROMPT_KINDS
        for each in report.trends
        if each.kind == kind
    ]  # fmt: skip
    if rows:
        title = "trend, percentage points"
        draw = lambda width: plots.forest(rows, width, title=title, versus=_VERSUS)  # noqa: E731
        caption = (
            f"Trend {_span(report)}: the fitted change from the first model to the last, over the prompts "
            "that all models were scored on, with its 95 % interval."
        )
        yield "Trend over training", plots.figure(draw, caption, TREND_HEAD, trend_rows(report))
