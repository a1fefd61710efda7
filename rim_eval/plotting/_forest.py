"""Forest plot: differences with their intervals, one a line, and the line of no difference."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rim_eval.plotting._style import SPEC, State, said, state_scales

__all__ = ["ForestRow", "forest"]

_LINE: Final = 26


class ForestRow(NamedTuple):
    """One line: a difference in percentage points with its interval."""

    group: str
    label: str
    value: float
    lower: float
    upper: float
    state: State


def forest(
    rows: Sequence[ForestRow],
    *,
    width: int,
    title: str = "change, percentage points",
    versus: str = "with thinking",
) -> dict[str, Any]:
    """The spec; rows stand in the order given, under their group's name.

    Args:
        rows: The lines.
        width: Width of the picture in pixels, labels included.
        title: Title of the axis.
        versus: What is worse or better, for the legend.
    """
    scales = state_scales({row.state for row in rows}, versus)
    longest = max(len(row.label) for row in rows)
    labels = min(round(7.2 * longest) + 10, round(0.5 * width))
    most = round((labels - 10) / 7.2)
    y = {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"labelLimit": 0, "ticks": False, "domain": False, "minExtent": labels},
    }
    x = {
        "type": "quantitative",
        "title": title,
        "scale": {"nice": True},
        "axis": {"tickCount": 5, "labelOverlap": "parity"},
    }
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "rule", "color": "#333", "strokeDash": [4, 3]}, "encoding": {"x": {"datum": 0}}},
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"y": y, "x": {"field": "lower", **x}, "x2": {"field": "upper"},
                         "color": scales["color"]},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"y": y, "x": {"field": "value", **x}, **scales},
        },
    ]  # fmt: skip
    return {
        **SPEC,
        "data": {"values": [_drawn(row, most, versus) for row in rows]},
        "facet": {
            "row": {
                "field": "group",
                "type": "nominal",
                "sort": list(dict.fromkeys(row.group for row in rows)),
                "header": {"title": None, "orient": "top", "labelAnchor": "start", "labelPadding": 2},
            }
        },
        "spec": {"width": width - labels - 14, "height": {"step": _LINE}, "layer": layers},
        "resolve": {"scale": {"y": "independent"}},
        "spacing": 4,
    }  # fmt: skip


def _drawn(row: ForestRow, most: int, versus: str) -> dict[str, Any]:
    return row._asdict() | {"label": _cut(row.label, most), "state": said(row.state, versus)}


def _cut(label: str, most: int) -> str:
    """A label in at most so many characters; the end, which holds its n, stays.

    Cut here and not by the renderer, which does not know the reader's fonts.
    """
    if len(label) <= most:
        return label
    name, _, n = label.rpartition(" (")
    return f"{name[: max(most - len(n) - 3, 3)].rstrip()}\N{HORIZONTAL ELLIPSIS} ({n}"
