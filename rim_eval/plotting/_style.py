"""What all plots share: colours that colour-blind readers tell apart, shapes, and the bare look."""

from typing import Any, Final, Literal

from rim_eval.outcomes import PromptKind

__all__ = ["LEGEND", "MODE_COLOURS", "SPEC", "STATES", "STATE_SCALES", "State", "state_of"]

State = Literal["worse with thinking", "better with thinking", "not significant"]

STATES: Final[tuple[State, ...]] = (
    "worse with thinking",
    "better with thinking",
    "not significant",
)
"""All three stand in every legend, so that a plot of one direction shows that there is another."""

LEGEND: Final[dict[str, Any]] = {
    "title": None, "orient": "bottom", "direction": "vertical", "symbolSize": 90, "labelLimit": 300, "symbolOpacity": 1,
}  # fmt: skip

STATE_SCALES: Final[dict[str, Any]] = {
    "color": {
        "field": "state",
        "type": "nominal",
        "scale": {"domain": list(STATES), "range": ["#B8420F", "#00639C", "#6B6B6B"]},
        "legend": LEGEND,
    },
    "shape": {
        "field": "state",
        "type": "nominal",
        "scale": {"domain": list(STATES), "range": ["triangle-up", "square", "circle"]},
    },
}
"""Colour and shape say the same, so that neither is needed alone."""

MODE_COLOURS: Final = {
    "domain": ["no thinking", "thinking"],
    "range": ["#A9B4BF", "#23395B"],
}

SPEC: Final[dict[str, Any]] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "background": "transparent",
    "padding": 2,
    "config": {
        "font": "Helvetica, Arial, Liberation Sans, sans-serif",
        "axis": {
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelColor": "#222",
            "titleColor": "#222",
            "gridColor": "#E3E3E3",
            "domainColor": "#888",
            "tickColor": "#888",
        },
        "legend": {"labelFontSize": 12, "labelColor": "#222"},
        "header": {"labelFontSize": 12, "labelColor": "#222", "labelFontWeight": "bold"},
        "view": {"stroke": None},
    },
}


def state_of(kind: PromptKind, lower: float | None, upper: float | None) -> State:
    """What a difference's interval shows.

    Args:
        kind: Of misalignment and over-refusal more is worse, of accuracy more is better.
        lower: Lower end, percentage points.
        upper: Upper end.
    """
    if lower is None or upper is None or lower <= 0 <= upper:
        return "not significant"
    return "better with thinking" if (lower > 0) == (kind == "reasoning") else "worse with thinking"
