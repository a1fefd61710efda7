"""Finding a quotation in the text that it is said to come from."""

import re
from typing import Final, NamedTuple

__all__ = ["LEAST_QUOTE", "Place", "locate"]

LEAST_QUOTE: Final = 8
"""Fewest letters and digits of a quotation: a shorter one occurs in nearly every text."""

_SAME: Final = str.maketrans("‘’‚‛“”„«»‹›⟦⟧◁▷‐‑‒–—−\u00a0", '\'\'\'\'"""""<>[]<>------ ')
"""Typographic characters, and the look-alikes of neutralised markers, by their plain ones; one for one."""

_AROUND: Final = " \t\r\n\"'`*_"
_CUT: Final = re.compile(r"^(?:\.{3}|…)\s*|\s*(?:\.{3}|…)$")


class Place(NamedTuple):
    """A stretch of a text: characters from `start` up to `end`."""

    start: int
    end: int


def locate(quote: str, text: str) -> Place | None:
    """Where a quotation first occurs in a text, word for word.

    White space, typographic marks, surrounding quotation marks and an ellipsis at either end make
    no difference; any other change does, and so does leaving words out.

    Args:
        quote: The words that are said to be in the text.
        text: The text.

    Returns:
        None when they are not in it, or are too few to tell (`LEAST_QUOTE`).
    """
    words = _CUT.sub("", quote.translate(_SAME).strip(_AROUND)).strip(_AROUND).split()
    if sum(character.isalnum() for word in words for character in word) < LEAST_QUOTE:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), text.translate(_SAME))
    return Place(*found.span()) if found else None
