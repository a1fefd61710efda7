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
_SENTENCE: Final = re.compile(r"\S(?:[^.!?\n]|\n(?!\s*\n)|[.!?](?![\s\"')\]]|\Z))*[.!?]?")
_NEGATION: Final = (
    r"(?:\b(?:not|never|no|avoid|cannot|without|rather than|instead of)\b|n['’]t\b)[^,;:]{0,25}?"
)


class _Cue(FrozenModel):
    label: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    phrases: tuple[str, ...]
    """Regular expressions, case-insensitive; a space matches any white space."""
    plain: bool = False
    """Whether a negation before the phrase is ignored."""

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """All phrases as one expression, with the negation before one as the group `negation`."""
        negation = "(?!)" if self.plain else _NEGATION
        joined = f"(?P<negation>{negation})?(?:{'|'.join(self.phrases)})"
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
    for sentence in _SENTENCE.finditer(text):
        start, end = sentence.span()
        if any(match["negation"] is None for match in cue.regex.finditer(text, start, end)):
            yield Finding.at(cue.label, 1, text, start, start + len(sentence[0].rstrip()))
