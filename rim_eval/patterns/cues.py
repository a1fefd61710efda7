"""The keyword baseline, `cues`: phrases that often go with a category.

It is the bar that a grader has to clear, and a first look without one. It misses every pattern that
is put in other words, and flags phrases that are about something else. Its measured agreement is in
`cues.validation.json`.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import Field

from rim_eval.judging import Case, Grader
from rim_eval.patterns.monitor import Finding, MonitorId, MonitorResult, Part, part_text
from rim_eval.patterns.rubric import load_rubric
from rim_eval.types import FrozenModel, Pattern

_FILE: Final = Path(__file__).with_name("cues.toml")
_SENTENCE_END: Final = re.compile(r"[.!?](?=[\s\"')\]]|$)|\n")
_NEGATION: Final = re.compile(
    r"(?:\b(?:not|never|no|avoid|cannot|without|rather than|instead of)\b|n['’]t\b)[^,;:]{0,25}$",
    re.IGNORECASE,
)
_REACH: Final = 400
"""Characters on either side of a phrase that are searched for the ends of its sentence."""


class _Cue(FrozenModel):
    label: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phrases: tuple[str, ...]
    """Regular expressions, case-insensitive; a space matches any white space."""
    plain: bool = False
    """Whether a negation before the phrase is ignored."""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """All phrases as one expression."""
        joined = "|".join(f"(?:{phrase})" for phrase in self.phrases)
        return re.compile(joined.replace(" ", r"\s+"), re.IGNORECASE)


class CueMonitor(FrozenModel):
    """Content of the file of phrases, and the monitor that marks sentences with one; severity is 1."""

    needs_grader: ClassVar = False

    version: int
    cue: tuple[_Cue, ...]
    _sha256: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that have phrases."""
        return tuple(cue.label for cue in self.cue)

    @property
    def grouping(self) -> dict[str, Pattern]:
        """The pattern of each category, as in the shipped rubric."""
        return load_rubric().grouping

    def identity(self, grader: Grader | None) -> MonitorId:  # noqa: ARG002 - no grader is asked
        """Identify the file of phrases, by a name that says what its figures are worth."""
        return MonitorId(name="keyword baseline", version=str(self.version), sha256=self._sha256)

    async def find(self, case: Case, part: Part, grader: Grader | None) -> MonitorResult:  # noqa: ARG002
        """Search for the phrases."""
        text = part_text(case, part)
        findings = [one for cue in self.cue for one in _findings(cue, text)]
        return MonitorResult(sorted(findings, key=lambda one: (one.start, one.label)))


@cache
def load_cues() -> CueMonitor:
    """Load the shipped phrases."""
    raw = _FILE.read_bytes()
    cues = CueMonitor.model_validate(tomllib.loads(raw.decode("utf-8")))
    cues._sha256 = hashlib.sha256(raw).hexdigest()
    return cues


def _findings(cue: _Cue, text: str) -> Iterator[Finding]:
    """Yield one finding for each sentence that holds the cue."""
    starts: set[int] = set()
    for match in cue.regex.finditer(text):
        start, end = _sentence(text, match.start(), match.end())
        negated = not cue.plain and _NEGATION.search(text[start : match.start()])
        if start not in starts and not negated:
            starts.add(start)
            yield Finding.at(cue.label, 1, text, start, end)


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """Start and end of the sentence around `text[start:end]`, without white space at its ends."""
    before = text[max(0, start - _REACH) : start]
    ends = [match.end() for match in _SENTENCE_END.finditer(before)]
    first = start - len(before) + (ends[-1] if ends else 0)
    after = _SENTENCE_END.search(text[end - 1 : end + _REACH])
    last = end - 1 + after.end() if after else min(len(text), end + _REACH)
    first += len(text[first:start]) - len(text[first:start].lstrip())
    return first, first + len(text[first : max(last, end)].rstrip())
