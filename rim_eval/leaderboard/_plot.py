"""The forest of a model's page: where each mark and line stands, for a template to write out."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Final, NamedTuple

from rim_eval.leaderboard._rows import SetFigures

__all__ = ["Forest", "Line", "forest"]

_WIDTH: Final = 400
_STEP: Final = 46
_SIDE: Final = 20
_TOP: Final = 8
_BOTTOM: Final = 40

_SIZE: Final = 6


class Line(NamedTuple):
    """One set: its label, its mark as an SVG path, its interval."""

    label: str
    state: str
    """`more`, `less`, `not_shown` or `unknown`: of misalignment and over-refusal more is worse, of accuracy less."""
    y: float
    path: str
    ends: tuple[float, float] | None


class Forest(NamedTuple):
    """The whole picture, in pixels."""

    width: int
    height: int
    zero: float
    ticks: tuple[tuple[float, int], ...]
    lines: tuple[Line, ...]


def forest(sets: Sequence[SetFigures]) -> Forest:
    """Place every set's difference on one symmetric axis of percentage points.

    Args:
        sets: Figures of one card.
    """
    known = [(s, s.difference[0]) for s in sets if s.difference[0] is not None]
    ends = [abs(end) for s, _ in known for end in s.difference if end is not None]
    reach = max(10, 10 * ceil(max(ends, default=0) / 10))
    half = _WIDTH / 2

    def x(value: float) -> float:
        return round(half + value / reach * (half - _SIDE), 2)

    lines = tuple(_line(s, i, x(value), _ends(s, x)) for i, (s, value) in enumerate(known))
    height = _TOP + _STEP * len(lines) + _BOTTOM
    ticks = tuple((x(part * reach), round(part * reach)) for part in (-1, -0.5, 0, 0.5, 1))
    return Forest(_WIDTH, height, x(0), ticks, lines)


def _ends(found: SetFigures, x: Callable[[float], float]) -> tuple[float, float] | None:
    _, lower, upper = found.difference
    return None if lower is None or upper is None else (x(lower), x(upper))


def _line(found: SetFigures, index: int, x: float, ends: tuple[float, float] | None) -> Line:
    y = _TOP + _STEP * index + 32
    state = found.shows
    if found.kind == "reasoning" and state in ("more", "less"):
        state = "less" if state == "more" else "more"
    name = {"harmful": "misalignment", "benign": "over-refusal", "reasoning": "accuracy"}[
        found.kind
    ]
    n = "" if found.pairs is None else f", {found.pairs} pairs"
    return Line(f"{found.dataset}: {name}{n}", state, y, _mark(found, x, y), ends)


def _mark(found: SetFigures, x: float, y: float) -> str:
    """Up, down, circle or diamond: the same shapes as in the table."""
    r = _SIZE
    if found.shows == "more":
        return f"M{x} {y - r}L{x + r} {y + r}L{x - r} {y + r}Z"
    if found.shows == "less":
        return f"M{x} {y + r}L{x + r} {y - r}L{x - r} {y - r}Z"
    if found.shows == "unknown":
        return f"M{x} {y - r}L{x + r} {y}L{x} {y + r}L{x - r} {y}Z"
    return f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
