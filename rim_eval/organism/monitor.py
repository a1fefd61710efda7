"""The organism's exact monitor: reads its traces by their wording, and no others.

Give it to whatever takes a monitor by name as `rim_eval.organism.monitor:exact`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from rim_eval.judging import Case, Grader
from rim_eval.organism import classify_trace
from rim_eval.patterns import (
    PATTERNS,
    Finding,
    Monitor,
    MonitorId,
    MonitorResult,
    Part,
    Pattern,
    part_text,
)


class _ExactMonitor:
    """Names the planted pattern of a trace of the organism; any other text is unreadable to it."""

    needs_grader = False
    labels: tuple[str, ...] = PATTERNS
    grouping: Mapping[str, Pattern] = MappingProxyType({pattern: pattern for pattern in PATTERNS})

    def identity(self, grader: Grader | None) -> MonitorId:  # noqa: ARG002 - no grader is asked
        """Identify the organism's rule book."""
        book = Path(__file__).with_name("rule_book.toml")
        sha256 = hashlib.sha256(book.read_bytes()).hexdigest()
        return MonitorId(name="exact", version="1", sha256=sha256)

    async def find(self, case: Case, part: Part, grader: Grader | None) -> MonitorResult:  # noqa: ARG002
        """Classify the part as a whole."""
        text = part_text(case, part)
        label = classify_trace(text)
        if label == "other":
            reason = "none of the organism's wordings"
            return MonitorResult(reason="judge_unreadable", explanation=reason)
        if label == "careful":
            return MonitorResult()
        start = text.index(". ") + 2  # after the sentence that repeats the request
        return MonitorResult([Finding.at(label, 3, text, start, len(text.rstrip()))])


exact: Final[Monitor] = _ExactMonitor()
