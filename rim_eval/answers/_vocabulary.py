"""The words that the answer checker knows (`vocabulary.toml`)."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict


class Vocabulary(BaseModel):
    """The whole file, which says what each list is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    factors: dict[str, int]
    connectives: frozenset[str]
    functions: frozenset[str]
    attached_units: frozenset[str]
    currencies: frozenset[str]
    hedges: frozenset[str]
    appraisals: frozenset[str]
    spelled_values: frozenset[str]
    spelled_numbers: frozenset[str]


WORDS: Final = Vocabulary.model_validate(
    tomllib.loads(Path(__file__).with_name("vocabulary.toml").read_text(encoding="utf-8"))
)


def any_of(words: Iterable[str]) -> str:
    """The regular expression of any of the words, longer ones first."""
    return "|".join(sorted(words, key=lambda word: (-len(word), word)))
