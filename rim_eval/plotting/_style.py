"""What all plots share: colours that colour-blind readers tell apart, shapes, and the bare look."""

from typing import Any, Final, Literal

from rim_eval.outcomes import PromptKind

__all__ = ["LEGEND", "MODE_COLOURS", "SPEC", "State", "said", "state_of", "state_scales"]

State = Literal["worse", "better", "not significant"]
"""All three stand in every legend, so that a plot of one direction shows that there is another."""

LEGEND: Final[dict[str, Any]] = {
    "title": None, "orient": "bottom", "direction": "vertical", "symbolSize": 90, "labelLimit": 300, "symbolOpacity": 1,
}  # fmt: skip


def state_scales(versus: str = "with thinking") -> dict[str, Any]:
    """Colour and shape of the three states; they say the same, so that neither is needed alone.

    Args:
        versus: What is worse or better: `with thinking`, `than the reference`.
    """
    domain = [f"worse {versus}", f"better {versus}", "not significant"]
    return {
        "color": {
            "field": "state",
            "type": "nominal",
            "scale": {"domain": domain, "range": ["#B8420F", "#00639C", "#6B6B6B"]},
            "legend": LEGEND,
        },
        "shape": {
            "field": "state",
            "type": "nominal",
            "scale": {"domain": domain, "range": ["triangle-up", "square", "circle"]},
        },
    }


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
    return "better" if (lower > 0) == (kind == "reasoning") else "worse"


def said(state: State, versus: str) -> str:
    """A state as the legend says it."""
    return state if state == "not significant" else f"{state} {versus}"
