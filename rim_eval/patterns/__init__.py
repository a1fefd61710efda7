"""Reasoning patterns: why a model that thinks goes along, as far as its traces show it.

A monitor reads one part of a reply and reports findings, each with a quotation from it. Pattern rows
hold the labels without the text, and join the observations of the same replies.
"""

from rim_eval.patterns.injection import injection_effects, load_statements
from rim_eval.patterns.monitor import (
    ANY_PATTERN,
    MARKS,
    PARTS,
    Finding,
    Monitor,
    MonitorId,
    MonitorResult,
    Part,
    PatternReading,
    UnreadReason,
    part_text,
    read_patterns,
)
from rim_eval.patterns.prevalence import conditional_rates, prevalence
from rim_eval.patterns.registry import load_monitor
from rim_eval.patterns.rows import (
    InjectionRow,
    PatternRow,
    attach,
    of_one_judge,
    rows_of_log,
    rows_of_metadata,
)
from rim_eval.patterns.rubric import load_rubric
from rim_eval.patterns.validation import compare_monitors, compare_with_labels
from rim_eval.types import PATTERNS, Pattern

__all__ = [
    "ANY_PATTERN",
    "MARKS",
    "PARTS",
    "PATTERNS",
    "Finding",
    "InjectionRow",
    "Monitor",
    "MonitorId",
    "MonitorResult",
    "Part",
    "Pattern",
    "PatternReading",
    "PatternRow",
    "UnreadReason",
    "attach",
    "compare_monitors",
    "compare_with_labels",
    "conditional_rates",
    "injection_effects",
    "load_monitor",
    "load_rubric",
    "load_statements",
    "of_one_judge",
    "part_text",
    "prevalence",
    "read_patterns",
    "rows_of_log",
    "rows_of_metadata",
]
