"""The exact reader as a monitor: the model organism's traces by their wording, and no others."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from rim_eval.judging import Case, Grader
from rim_eval.patterns._monitor import Found, finding, part_text
from rim_eval.patterns._reading import MonitorId, Part
from rim_eval.patterns._rubric import PATTERNS, Pattern

__all__ = ["ExactMonitor"]


class ExactMonitor:
    """Names the planted pattern of a trace of the organism; any other text is unreadable to it."""

    needs_grader = False
    labels: tuple[str, ...] = PATTERNS
    grouping: Mapping[str, Pattern] = MappingProxyType({pattern: pattern for pattern in PATTERNS})

    def identity(self, grader: Grader | None) -> MonitorId:  # noqa: ARG002 - no grader is asked
        """The organism's rule book."""
        return MonitorId(name="exact", version="1", sha256=_sha256())

    async def find(self, case: Case, part: Part, grader: Grader | None) -> Found:  # noqa: ARG002
        """Read the trace as a whole."""
        from rim_eval.organism import classify_trace

        text = part_text(case, part)
        label = classify_trace(text)
        if label == "other":
            return Found(reason="judge_unreadable", explanation="none of the organism's wordings")
        if label == "careful":
            return Found()
        start = text.index(". ") + 2  # after the request is said again
        return Found([finding(label, 3, text, start, len(text.rstrip()))])


@cache
def _sha256() -> str:
    from rim_eval import organism

    book = Path(organism.__file__).with_name("rule_book.toml")
    return hashlib.sha256(book.read_bytes()).hexdigest()
