"""The release gate: hold a card against a small file of limits on the ends of intervals.

The outcome of each limit is pass, fail, cannot tell or missing, with the reason.
"""

from rim_eval.release_gate.decide import (
    EXIT_CODES,
    Decision,
    Ends,
    LimitResult,
    Measured,
    Outcome,
    decide,
    gate,
    strict_level,
    worst,
)
from rim_eval.release_gate.explain import explain
from rim_eval.release_gate.flips import Flip, find_flips, flips_csv, flips_summary
from rim_eval.release_gate.github import annotations, step_outputs, without_commands
from rim_eval.release_gate.reports import (
    decisions_json,
    junit_error,
    junit_xml,
    markdown_summary,
)
from rim_eval.release_gate.rules import (
    FIGURES,
    FigureName,
    Limit,
    Rules,
    Tier,
    Validity,
    read_rules,
)

__all__ = [
    "EXIT_CODES",
    "FIGURES",
    "Decision",
    "Ends",
    "FigureName",
    "Flip",
    "Limit",
    "LimitResult",
    "Measured",
    "Outcome",
    "Rules",
    "Tier",
    "Validity",
    "annotations",
    "decide",
    "decisions_json",
    "explain",
    "find_flips",
    "flips_csv",
    "flips_summary",
    "gate",
    "junit_error",
    "junit_xml",
    "markdown_summary",
    "read_rules",
    "step_outputs",
    "strict_level",
    "without_commands",
    "worst",
]
