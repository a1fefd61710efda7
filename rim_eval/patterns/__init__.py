"""Reasoning patterns: why a model that thinks goes along, as far as its traces show it.

A monitor reads a trace or an answer and gives findings, each with words that occur there; rows
carry what was found without the words, and join the observations of the same replies.
"""

from rim_eval.patterns._attach import attach
from rim_eval.patterns._comparing import LabelAgreement, compare_monitors, compare_with_labels
from rim_eval.patterns._filter import (
    OUTCOMES,
    Columns,
    FilterSettings,
    drop_reasons,
    filter_rows,
    training_rows,
)
from rim_eval.patterns._injection import (
    InjectionEffect,
    InjectionRow,
    injection_effects,
    injection_rows,
    injection_rows_of_metadata,
    injection_table,
)
from rim_eval.patterns._injection_runs import read_injection_runs
from rim_eval.patterns._labelled import (
    PARAPHRASES,
    LabelledText,
    load_labelled_texts,
    measure_texts,
)
from rim_eval.patterns._logs import find_logs, read_log
from rim_eval.patterns._monitor import (
    MARKS,
    MONITORS,
    Found,
    Monitor,
    load_monitor,
    read_patterns,
)
from rim_eval.patterns._quotes import Place, locate
from rim_eval.patterns._rates import (
    ANY_PATTERN,
    Conditional,
    Group,
    Prevalence,
    conditional_rates,
    prevalence,
)
from rim_eval.patterns._reading import (
    PARTS,
    UNREAD_REASONS,
    Finding,
    MonitorId,
    Part,
    PatternReading,
    UnreadReason,
    unread_reason,
)
from rim_eval.patterns._rows import PatternRow, pattern_rows, rows_of_metadata
from rim_eval.patterns._rubric import PATTERNS, Pattern, Rubric, load_rubric
from rim_eval.patterns._runs import PatternRuns, read_runs
from rim_eval.patterns._samples import (
    pattern_rows_of_samples,
    read_sample_file,
)
from rim_eval.patterns._self_jailbreaking import (
    LabelledTrace,
    SelfJailbreakAgreement,
    load_self_jailbreaking,
    measure_sentences,
)
from rim_eval.patterns._statements import Arm, Statements, arms_of, load_statements
from rim_eval.patterns._tables import (
    agreement_table,
    conditional_table,
    prevalence_table,
    sentence_table,
)

__all__ = [
    "ANY_PATTERN",
    "MARKS",
    "MONITORS",
    "OUTCOMES",
    "PARAPHRASES",
    "PARTS",
    "PATTERNS",
    "UNREAD_REASONS",
    "Arm",
    "Columns",
    "Conditional",
    "FilterSettings",
    "Finding",
    "Found",
    "Group",
    "InjectionEffect",
    "InjectionRow",
    "LabelAgreement",
    "LabelledText",
    "LabelledTrace",
    "Monitor",
    "MonitorId",
    "Part",
    "Pattern",
    "PatternReading",
    "PatternRow",
    "PatternRuns",
    "Place",
    "Prevalence",
    "Rubric",
    "SelfJailbreakAgreement",
    "Statements",
    "UnreadReason",
    "agreement_table",
    "arms_of",
    "attach",
    "compare_monitors",
    "compare_with_labels",
    "conditional_rates",
    "conditional_table",
    "drop_reasons",
    "filter_rows",
    "find_logs",
    "injection_effects",
    "injection_rows",
    "injection_rows_of_metadata",
    "injection_table",
    "load_labelled_texts",
    "load_monitor",
    "load_rubric",
    "load_self_jailbreaking",
    "load_statements",
    "locate",
    "measure_sentences",
    "measure_texts",
    "pattern_rows",
    "pattern_rows_of_samples",
    "prevalence",
    "prevalence_table",
    "read_injection_runs",
    "read_log",
    "read_patterns",
    "read_runs",
    "read_sample_file",
    "rows_of_metadata",
    "sentence_table",
    "training_rows",
    "unread_reason",
]
