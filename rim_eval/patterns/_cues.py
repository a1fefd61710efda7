"""The offline baseline: phrases that often go with a category, and no understanding at all.

It is there as the bar that a grader has to clear and for a first look without one. It sees words,
not reasons: it misses every pattern that is put otherwise, and flags phrases that are about
something else. `cues.validation.json` holds what was measured of it.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.judging import Case, Grader
from rim_eval.patterns._monitor import Found, finding, part_text
from rim_eval.patterns._reading import Finding, MonitorId, Part
from rim_eval.patterns._rubric import Pattern, load_rubric

__all__ = ["CueMonitor"]

_FILE: Final = Path(__file__).with_name("cues.toml")
_SENTENCE_END: Final = re.compile(r"[.!?](?=[\s\"')\]]|$)|\n")
_NEGATION: Final = re.compile(
    r"(?:\b(?:not|never|no|avoid|cannot|without|rather than|instead of)\b|n['’]t\b)[^,;:]{0,25}$",
    re.IGNORECASE,
)
_REACH: Final = 400
"""Characters on either side in which a sentence's ends are looked for."""


class _Cue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phrases: tuple[str, ...]
    """Regular expressions, searched without regard to letter case; a space stands for any white space."""
    plain: bool = False
    """Whether a negation before the phrase does not matter."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    cue: tuple[_Cue, ...]


class _Compiled(NamedTuple):
    label: str
    pattern: re.Pattern[str]
    plain: bool


class CueMonitor:
    """Marks sentences that hold a phrase of a category. Its severity is always 1: it cannot tell."""

    needs_grader = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that have phrases."""
        return tuple(cue.label for cue in _cues())

    @property
    def grouping(self) -> dict[str, Pattern]:
        """As in the shipped rubric."""
        return load_rubric().rubric.grouping

    def identity(self, grader: Grader | None) -> MonitorId:  # noqa: ARG002 - no grader is asked
        """The file of phrases."""
        return MonitorId(name="cues", version=str(_file().version), sha256=_sha256())

    async def find(self, case: Case, part: Part, grader: Grader | None) -> Found:  # noqa: ARG002
        """Look for phrases."""
        text = part_text(case, part)
        found = [one for cue in _cues() for one in _findings(cue, text)]
        return Found(sorted(found, key=lambda one: (one.start, one.label)))


def _findings(cue: _Compiled, text: str) -> Iterator[Finding]:
    """One finding for each sentence that holds the cue."""
    seen: set[int] = set()
    for match in cue.pattern.finditer(text):
        start, end = _sentence(text, match.start(), match.end())
        negated = not cue.plain and _NEGATION.search(text[start : match.start()])
        if start not in seen and not negated:
            seen.add(start)
            yield finding(cue.label, 1, text, start, end)


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    before = text[max(0, start - _REACH) : start]
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    first = start - len(before) + (ends[-1] if ends else 0)
    after = _SENTENCE_END.search(text[end - 1 : end + _REACH])
    last = end - 1 + after.end() if after else min(len(text), end + _REACH)
    first += len(text[first:start]) - len(text[first:start].lstrip())
    return first, first + len(text[first : max(last, end)].rstrip())


@cache
def _file() -> _File:
    return _File.model_validate(tomllib.loads(_FILE.read_text(encoding="utf-8")))


@cache
def _sha256() -> str:
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()


@cache
def _cues() -> tuple[_Compiled, ...]:
    return tuple(
        _Compiled(cue.label, re.compile(_joined(cue.phrases), re.IGNORECASE), cue.plain)
        for cue in _file().cue
    )


def _joined(phrases: tuple[str, ...]) -> str:
    return "|".join(f"(?:{phrase})" for phrase in phrases).replace(" ", r"\s+")
