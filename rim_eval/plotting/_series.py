"""Rates over a series of checkpoints, one line a mode, with their intervals."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from rim_eval.plotting._style import LEGEND, MODE_COLOURS, SPEC

__all__ = ["SeriesPoint", "series"]


class SeriesPoint(NamedTuple):
    """One checkpoint in one mode."""

    step: str
    mode: Literal["no thinking", "thinking"]
    percent: float
    lower: float
    upper: float


def series(points: Sequence[SeriesPoint], *, width: int, title: str) -> dict[str, Any]:
    """The spec; checkpoints stand in the order given, evenly spaced."""
    x = {
        "field": "step", "type": "ordinal", "sort": None, "title": None,
        "axis": {"labelAngle": -30, "labelLimit": 120},
    }  # fmt: skip
    y = {"type": "quantitative", "title": title, "scale": {"domain": [0, 100]}}
    colour = {"field": "mode", "type": "nominal", "scale": MODE_COLOURS,
              "legend": LEGEND}  # fmt: skip
    return {
        **SPEC,
        "width": min(width - 60, 560),
        "height": 220,
        "data": {"values": [point._asdict() for point in points]},
        "encoding": {"x": x, "color": colour},
        "layer": [
            {"mark": "rule", "encoding": {"y": {"field": "lower", **y}, "y2": {"field": "upper"}}},
            {"mark": "line", "encoding": {"y": {"field": "percent", **y}}},
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
                "encoding": {"y": {"field": "percent", **y},
                             "shape": {"field": "mode", "type": "nominal", "scale": {"domain": MODE_COLOURS["domain"], "range": ["circle", "square"]}, "legend": LEGEND}},
            },
        ],
    }  # fmt: skip
