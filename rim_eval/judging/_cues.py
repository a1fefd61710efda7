"""Word lists of the readers of English, as data: regular expressions in a TOML file beside this one."""

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

Patterns = tuple[re.Pattern[str], ...]


@cache
def load_cues(filename: str) -> dict[str, Patterns]:
    """The compiled patterns of a file by name.

    `<<name>>` in a pattern stands for the fragment of that name; a list of fragments means any of them.
    """
    path = Path(__file__).with_name(filename)
    tables: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    fragments: dict[str, str | list[str]] = tables.pop("fragments")

    def expanded(pattern: str) -> str:
        return re.sub(r"<<(\w+)>>", lambda match: expanded(joined(fragments[match[1]])), pattern)

    def joined(fragment: str | list[str]) -> str:
        return fragment if isinstance(fragment, str) else "|".join(fragment)

    return {
        name: tuple(re.compile(expanded(pattern)) for pattern in patterns)
        for name, patterns in tables.items()
    }


def any_match(patterns: Iterable[re.Pattern[str]], text: str) -> bool:
    """Whether one of the patterns is somewhere in the text."""
    return any(pattern.search(text) for pattern in patterns)
