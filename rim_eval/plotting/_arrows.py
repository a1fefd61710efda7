"""The paper's Figure 1: misalignment against accuracy, an arrow from no-think to think for each model or set."""

from collections.abc import Sequence
from math import atan2, ceil, degrees, floor
from typing import Any, Final, NamedTuple

from rim_eval.plotting._style import SPEC, State, said, state_scales

__all__ = ["Arrow", "arrows"]

_HEAD: Final = "M0,-1L0.55,0.7L0,0.35L-0.55,0.7Z"
"""An arrow head that points up: a triangle of equal sides would not show where it points."""

Ends = tuple[float, float, float]
"""A rate with its lower and upper end, in percent."""


class Arrow(NamedTuple):
    """One model or set: accuracy and misalignment in both modes."""

    label: str
    accuracy: tuple[Ends, Ends]
    """Without thinking, with."""
    misalignment: tuple[Ends, Ends]
    state: State


def arrows(drawn: Sequence[Arrow], *, width: int) -> dict[str, Any]:
    """The spec: hollow circle without thinking, arrow head with; thin lines are the intervals."""
    inner = min(width - 70, 420)
    height = round(inner * 0.75)
    across = _domain([end for arrow in drawn for end in arrow.accuracy])
    up = _domain([end for arrow in drawn for end in arrow.misalignment])
    x, y = _axis("accuracy, %", across), _axis("misaligned, %", up)
    bars = [bar for arrow in drawn for bar in _bars(arrow)]
    unit = (inner / (across[1] - across[0]), height / (up[1] - up[0]))
    shafts = [_shaft(arrow, unit, sum(across) / 2) for arrow in drawn]
    colour = state_scales({arrow.state for arrow in drawn})["color"]
    thin = {"type": "rule", "opacity": 0.45}
    return {
        **SPEC,
        "width": inner,
        "height": height,
        "layer": [
            {
                "data": {"values": bars},
                "mark": thin,
                "encoding": {"x": {"field": "x", **x}, "x2": {"field": "x2"}, "y": {"field": "y", **y},
                             "y2": {"field": "y2"}, "color": colour},
            },
            {
                "data": {"values": shafts},
                "layer": [
                    {
                        "mark": {"type": "rule", "strokeWidth": 2},
                        "encoding": {"x": {"field": "x", **x}, "x2": {"field": "x2"},
                                     "y": {"field": "y", **y}, "y2": {"field": "y2"}, "color": colour},
                    },
                    {
                        "mark": {"type": "point", "size": 90, "fill": "white", "opacity": 1},
                        "encoding": {"x": {"field": "x", **x}, "y": {"field": "y", **y}, "color": colour},
                    },
                    {
                        "mark": {"type": "point", "shape": _HEAD, "size": 260, "filled": True, "opacity": 1},
                        "encoding": {"x": {"field": "x2", **x}, "y": {"field": "y2", **y}, "color": colour,
                                     "angle": {"field": "angle", "type": "quantitative", "scale": None}},
                    },
                    {
                        "mark": {"type": "text", "fontSize": 12, "dy": -14},
                        "encoding": {"x": {"field": "x2", **x}, "y": {"field": "y2", **y},
                                     "text": {"field": "label"},
                                     "align": {"field": "align", "type": "nominal", "scale": None}},
                    },
                ],
            },
        ],
    }  # fmt: skip


def _bars(arrow: Arrow) -> list[dict[str, Any]]:
    """Both intervals of both ends, as crosses."""
    found = []
    for (x, x_low, x_high), (y, y_low, y_high) in zip(
        arrow.accuracy, arrow.misalignment, strict=True
    ):
        found.append(
            {"x": x_low, "x2": x_high, "y": y, "y2": y, "state": said(arrow.state, "with thinking")}
        )
        found.append(
            {"x": x, "x2": x, "y": y_low, "y2": y_high, "state": said(arrow.state, "with thinking")}
        )
    return found


def _domain(ends: Sequence[Ends]) -> tuple[float, float]:
    """Room for all intervals in steps of ten; from 0 to 100 where they need most of that."""
    low = 10 * floor(min(lower for _, lower, _ in ends) / 10)
    high = 10 * ceil(max(upper for *_, upper in ends) / 10)
    return (0, 100) if high - low > 60 else (max(min(low, 80), 0), min(max(high, low + 20), 100))


def _axis(title: str, domain: tuple[float, float]) -> dict[str, Any]:
    scale = {"domain": list(domain)}
    return {"type": "quantitative", "title": title, "scale": scale, "axis": {"tickCount": 5}}


def _shaft(arrow: Arrow, unit: tuple[float, float], middle: float) -> dict[str, Any]:
    """The arrow's line and head; `unit` is pixels a percent across and up."""
    (x, *_), (x2, *_) = arrow.accuracy
    (y, *_), (y2, *_) = arrow.misalignment
    turned = degrees(atan2((x2 - x) * unit[0], (y2 - y) * unit[1]))
    return {
        "label": arrow.label, "x": x, "x2": x2, "y": y, "y2": y2, "state": said(arrow.state, "with thinking"),
        "angle": turned, "align": "right" if x2 > middle else "left",
    }  # fmt: skip
