"""Where a record on a card differs from the one computed again by more than rounding."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["differ"]

_CLOSE: Final = 1e-6
"""Figures may differ by this much: another version of numpy may round or draw otherwise."""


def differ(name: str, shown: Any, computed: Any) -> Iterator[str]:
    """One sentence for each place where two records differ.

    Args:
        name: What the records are.
        shown: What stands on the card.
        computed: What follows from its counts.
    """
    plain = [
        x.model_dump(mode="json") if hasattr(x, "model_dump") else x for x in (shown, computed)
    ]
    yield from (f"{name}{path}" for path in _different(*plain))


def _different(shown: Any, computed: Any, path: str = "") -> Iterator[str]:
    if isinstance(shown, Mapping) and isinstance(computed, Mapping):
        for key in {*shown, *computed}:
            yield from _different(shown.get(key), computed.get(key), f"{path}.{key}")
    elif (
        isinstance(shown, list | tuple)
        and isinstance(computed, list | tuple)
        and len(shown) == len(computed)
    ):
        for index, pair in enumerate(zip(shown, computed, strict=True)):
            yield from _different(*pair, f"{path}[{index}]")
    elif not _same(shown, computed):
        yield f"{path} is {shown!r}, the counts give {computed!r}"


def _same(shown: Any, computed: Any) -> bool:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (shown, computed))
    if numbers:
        return math.isclose(shown, computed, rel_tol=_CLOSE, abs_tol=_CLOSE)
    return bool(shown == computed)
