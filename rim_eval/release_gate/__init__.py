"""The release gate: a card checked against a small file of limits."""

from rim_eval.release_gate._gate import EXIT_CODES, Decision, LimitResult, Outcome, gate, worst
from rim_eval.release_gate._limits import Limit, Rules, Validity, read_rules

__all__ = [
    "EXIT_CODES",
    "Decision",
    "Limit",
    "LimitResult",
    "Outcome",
    "Rules",
    "Validity",
    "gate",
    "read_rules",
    "worst",
]
