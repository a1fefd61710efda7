"""Escape text from outside, so that it stays data: in a prompt, and in a table that a spreadsheet program opens."""

import re
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

_LOOK_ALIKES: Final = str.maketrans("<>[]◁▷", "‹›⟦⟧‹›")
"""One character each: a reader sees the same text, a tokenizer no special token."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet program may run."""

_MARKERS: Final = tomllib.loads(
    Path(__file__).with_name("chat_markers.toml").read_text(encoding="utf-8")
)


def escape_markers(text: str, tags: Iterable[str] = ()) -> str:
    """Replace the brackets of chat markers and of `tags`, so that text stays data in a judge's prompt.

    Such delimiters could end the prompt or fake a verdict. The text keeps its length and every other
    character, so a grader still sees what was there (`[/INST]` becomes `⟦/INST⟧`). Escaping twice
    changes nothing.

    Args:
        text: Anything that a model or a data set wrote.
        tags: Names of the tags that the judge's own prompt and reply format use.

    Returns:
        The text without any chat marker, and without any opening or closing tag of `tags`.
    """
    pattern, before = _marker_pattern(tuple(tags)), ""
    while text != before:  # markers can be nested in markers
        before, text = text, pattern.sub(lambda match: match[0].translate(_LOOK_ALIKES), text)
    return text


def escape_formula(cell: str) -> str:
    """Give a cell of a CSV file that no spreadsheet program takes for a formula: where it may, `'` comes before it."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


@lru_cache(maxsize=64)
def _marker_pattern(tags: tuple[str, ...]) -> re.Pattern[str]:
    names = "|".join((*_MARKERS["tags"], *map(re.escape, tags)))
    # With or without attributes, spaces and closing bracket: models that read it are as lenient.
    tag = rf"<\s*/?\s*(?:{names})(?![\w-])[^<>\n]{{0,64}}>?"
    return re.compile("|".join((*_MARKERS["patterns"], tag)), re.IGNORECASE)
