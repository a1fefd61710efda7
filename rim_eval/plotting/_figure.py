"""A picture with its words: what a reader sees, and what a screen reader says instead."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from rim_eval.plotting._svg import svg

__all__ = ["Figure", "figure"]

_WIDE: Final = 640
_NARROW: Final = 330
"""Width of the pictures in pixels: for a desk, and for a phone of 360 pixels and more."""


class Figure(NamedTuple):
    """One picture in two widths, with caption and the table that holds the same figures."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wide: str
    narrow: str


def figure(
    draw: Callable[[int], dict[str, Any]],
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> Figure:
    """Draw a picture in both widths.

    Args:
        draw: From a width in pixels to a spec.
        caption: One or two sentences that say what is to be seen.
        head: Column names of the table.
        rows: The table: every figure in the picture with its n.
    """
    return Figure(
        caption=caption,
        head=tuple(head),
        rows=tuple(tuple(row) for row in rows),
        wide=svg(draw(_WIDE)),
        narrow=svg(draw(_NARROW)),
    )
