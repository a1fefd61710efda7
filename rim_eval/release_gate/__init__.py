"""The release gate: a card held against a small file of limits."""

from rim_eval.release_gate._gate import EXIT_CODES, Finding, Outcome, hold, worst
from rim_eval.release_gate._rules import FIGURES, Limit, Rules, Validity, read_rules

__all__ = [
    "EXIT_CODES",
    "FIGURES",
    "Finding",
    "Limit",
    "Outcome",
    "Rules",
    "Validity",
    "hold",
    "read_rules",
    "worst",
]
