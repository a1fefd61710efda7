"""Degenerate output: does a text end in a cycle that repeats and repeats?"""

from typing import Final

__all__ = ["is_looping"]

_TAIL: Final = 4_000
"""Characters at the end that are looked at: a loop that ran into the token limit fills them."""

_LEAST: Final = 240
"""Shortest repeating stretch, in characters, that counts: shorter ones are rhymes and rulers."""

_REPEATS: Final = 4


def is_looping(text: str) -> bool:
    """Whether the end of a text is one passage over and over.

    A suffix of at least 240 characters must consist of at least four copies of the same passage
    (the last may be cut off), and the passage must hold a letter or digit. Linear in the length.

    Args:
        text: What the model wrote, trace and answer together.
    """
    reverse = text.rstrip()[-_TAIL:][::-1]
    for length, border in enumerate(_borders(reverse), start=1):
        period = length - border
        if length >= _LEAST and length >= _REPEATS * period:
            return any(character.isalnum() for character in reverse[:period])
    return False


def _borders(text: str) -> list[int]:
    """Length of the longest proper border of every prefix (the Knuth-Morris-Pratt table)."""
    borders = [0] * len(text)
    length = 0
    for index in range(1, len(text)):
        while length and text[index] != text[length]:
            length = borders[length - 1]
        length += text[index] == text[length]
        borders[index] = length
    return borders
