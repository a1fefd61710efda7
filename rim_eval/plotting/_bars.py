"""Bars side by side for the two modes: score histograms, pattern shares."""

from collections.abc import Sequence
from math import ceil
from typing import Any, Literal, NamedTuple

from rim_eval.plotting._style import LEGEND, MODE_COLOURS, SPEC

__all__ = ["Bar", "bars"]


class Bar(NamedTuple):
    """One bar."""

    group: str
    """What stands on the axis: a score, a pattern."""
    mode: Literal["no thinking", "thinking"]
    percent: float


def bars(drawn: Sequence[Bar], *, width: int, title: str, of: str) -> dict[str, Any]:
    """The spec, groups in the order given.

    Args:
        drawn: The bars.
        width: Width of the picture in pixels.
        title: What the groups are.
        of: What the percentages are shares of.
    """
    return {
        **SPEC,
        "width": min(width - 60, 480),
        "height": 170,
        "data": {"values": [bar._asdict() for bar in drawn]},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "group", "type": "nominal", "sort": None, "title": title,
                  "axis": {"labelAngle": 0, "labelExpr": "split(datum.label, ' ')", "titlePadding": _lines(drawn)}},
            "xOffset": {"field": "mode", "type": "nominal", "sort": MODE_COLOURS["domain"]},
            "y": {"field": "percent", "type": "quantitative", "title": of,
                  "scale": {"domain": [0, _top(drawn)]}, "axis": {"tickCount": 5}},
            "color": {"field": "mode", "type": "nominal", "scale": MODE_COLOURS,
                      "legend": LEGEND},
        },
    }  # fmt: skip


def _top(drawn: Sequence[Bar]) -> int:
    """The next ten above the highest bar."""
    return 10 * max(1, ceil(max(bar.percent for bar in drawn) / 10))


def _lines(drawn: Sequence[Bar]) -> int:
    """Room for labels of several words, a line each, which the layout does not measure."""
    return 4 + 13 * max(bar.group.count(" ") for bar in drawn)
