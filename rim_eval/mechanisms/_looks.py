"""Looks that the plots share: colours, dashes, shapes and the width from which panels stand below."""

from collections.abc import Sequence
from typing import Any, Final

from rim_eval.plotting._style import LEGEND

__all__ = ["COLOURS", "NARROW", "Spec", "by_field"]

Spec = dict[str, Any]

NARROW: Final = 500
"""Pixels below which panels stand below each other."""

# Dark enough on white, and apart for colour-blind readers; shapes and dashes say the same.
COLOURS: Final = ["#B8420F", "#00639C", "#2E7D4F", "#7A4B94", "#6B6B6B", "#8A6D00"]
_SHAPES: Final = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]


def by_field(field: str, domain: Sequence[str], *, dashes: bool = True) -> Spec:
    """Colour, and dash or shape, by a field; one legend for both.

    Args:
        field: Name of the field.
        domain: Its values, in order of the legend.
        dashes: Lines, told apart by dashes too; else points, told apart by shapes.
    """
    scale = {"domain": list(domain), "range": [COLOURS[i % 6] for i in range(len(domain))]}
    ways = [[1, 0], [6, 2], [2, 2], [8, 3, 2, 3], [4, 4], [1, 3]] if dashes else _SHAPES
    second = {"domain": list(domain), "range": [ways[i % 6] for i in range(len(domain))]}
    legend = {**LEGEND, "direction": "horizontal", "columns": 2, "symbolStrokeWidth": 2}
    if dashes:
        legend |= {"symbolType": "stroke", "symbolSize": 400}
    named = {"field": field, "type": "nominal", "title": None}
    return {
        "color": {**named, "scale": scale, "legend": legend},
        ("strokeDash" if dashes else "shape"): {**named, "scale": second, "legend": legend},
    }
