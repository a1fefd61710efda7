"""A table with its name, as both renderings show it."""

from typing import NamedTuple

__all__ = ["Grid"]


class Grid(NamedTuple):
    """A table with its name."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
