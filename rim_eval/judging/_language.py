"""Tell whether a reply is in a language that an English reader of words can read."""

import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Final

COMMON_WORDS: Final = Path(__file__).with_name("common_words.toml")
_LATIN_ENDS: Final = 0x24F
_LATIN_ADDITIONAL: Final = range(0x1E00, 0x1F00)


def is_english(words: Iterable[str]) -> bool:
    """Whether a reply is in English, or too short or wordless to tell.

    It is not when most of its letters are of another script, or when another language's common words
    outnumber the English ones: two of them, or one that is half of the reply.

    Args:
        words: The words of the reply, in lower case.
    """
    alphabetic = [word for word in words if word.isalpha() and len(word) > 1]
    letters = "".join(alphabetic)
    if 2 * sum(map(_is_foreign_letter, letters)) > len(letters):
        return False
    distinct, languages = set(alphabetic), common_words()
    hits = {name: len(distinct & common) for name, common in languages.items()}
    english = hits.pop("english")
    most = max(hits.values())
    return most <= english or (most < 2 and 2 * most < len(distinct))


def _is_foreign_letter(char: str) -> bool:
    return ord(char) > _LATIN_ENDS and ord(char) not in _LATIN_ADDITIONAL


@cache
def common_words() -> dict[str, frozenset[str]]:
    """Common words by language."""
    table: dict[str, str] = tomllib.loads(COMMON_WORDS.read_text(encoding="utf-8"))
    return {name: frozenset(words.split()) for name, words in table.items()}
