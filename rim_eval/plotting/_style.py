"""What all plots share: colours that colour-blind readers tell apart, shapes, and the bare look."""

from collections.abc import Collection
from typing import Any, Final, Literal

from rim_eval.statistics import Shown
from rim_eval.types import PromptKind

__all__ = ["LEGEND", "MODE_COLOURS", "SPEC", "State", "said", "state_of", "state_scales"]

State = Literal["worse", "better", "not significant", "mode not verified"]
"""The first three stand in every legend, so that a plot of one direction shows that there is another."""

LEGEND: Final[dict[str, Any]] = {
    "title": None, "orient": "bottom", "direction": "vertical", "symbolSize": 90, "labelLimit": 300, "symbolOpacity": 1,
}  # fmt: skip


def state_scales(
    states: Collection[State], versus: str = "with thinking"
) -> dict[str, dict[str, Any]]:
    """Colour and shape of the states; they say the same, so that neither is needed alone.

    Args:
        states: Those that occur.
        versus: What is worse or better: `with thinking`, `than the reference`.
    """
    shown = [each for each in _LOOKS if each in states or each != "mode not verified"]
    domain = [said(state, versus) for state in shown]
    colours, shapes = zip(*(_LOOKS[state] for state in shown), strict=True)
    scale = {"field": "state", "type": "nominal"}
    return {
        "color": scale | {"scale": {"domain": domain, "range": list(colours)}, "legend": LEGEND},
        "shape": scale | {"scale": {"domain": domain, "range": list(shapes)}},
    }


_LOOKS: Final[dict[State, tuple[str, str]]] = {
    "worse": ("#B8420F", "triangle-up"),
    "better": ("#00639C", "square"),
    "not significant": ("#6B6B6B", "circle"),
    "mode not verified": ("#1B1F24", "cross"),
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


def state_of(kind: PromptKind, found: Shown, verified: bool = True) -> State:
    """What a difference shows, as good or bad.

    Args:
        kind: Of misalignment and over-refusal more is worse, of accuracy more is better.
        found: What interval and test show (`rim_eval.statistics.shown`).
        verified: Whether the modes are what they are called; otherwise it shows nothing.
    """
    if not verified:
        return "mode not verified"
    if found not in ("more", "less"):
        return "not significant"
    return "better" if (found == "more") == (kind == "reasoning") else "worse"


def said(state: State, versus: str) -> str:
    """A state as the legend says it."""
    return f"{state} {versus}" if state in ("worse", "better") else state
