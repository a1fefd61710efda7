"""Held-out items: training rows that hold a prompt which a model is evaluated on are found and set apart.

A row overlaps with an item when it holds 13 words in a row of it, or all words of a shorter one. Words are compared without letter case and punctuation. Thirteen is what Brown et al. 2020
(arXiv 2005.14165, appendix C) use; a paraphrase is not found.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from rim_eval.prompt_sets import load_prompts

WINDOW: Final = 13
"""Words in a row that tell an item."""

_WORD: Final = re.compile(r"\w+")


class HeldOut:
    """The word windows of evaluation items, to search training rows for."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Index the items; texts without a word are left out."""
        self._windows = {window for text in texts for window in _windows(_words(text))}
        self._sizes = sorted({len(window) for window in self._windows})

    def overlaps(self, text: str) -> bool:
        """Whether a text holds one of the items, or 13 words in a row of one."""
        words = _words(text)
        return any(
            window in self._windows for size in self._sizes for window in _windows(words, size)
        )


def held_out_sets(names: Iterable[str], data: Path | None = None) -> HeldOut:
    """Load the items of named prompt sets.

    Args:
        names: Sets, as in `rim-eval data list`.
        data: Local folder of the sets, see `rim_eval.prompt_sets.load_prompts`.

    Raises:
        RimError: A set is unknown or cannot be loaded.
    """
    return HeldOut(
        prompt.text for name in names for prompt in load_prompts(name, data=data).prompts
    )


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _windows(words: list[str], size: int | None = None) -> Iterator[tuple[str, ...]]:
    """Runs of `size` words; by default of 13, or all of a shorter text."""
    size = min(WINDOW, len(words)) if size is None else size
    if size:
        yield from (tuple(words[i : i + size]) for i in range(len(words) - size + 1))
