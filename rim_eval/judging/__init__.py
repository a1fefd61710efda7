"""Judges: from one reply to a verdict with its provenance, or to the reason why there is none."""

from rim_eval.judging._agreement import (
    Agreement,
    AgreementFigure,
    Pair,
    agreement,
    krippendorff,
    pool,
    unsafe_traces,
)
from rim_eval.judging._case import (
    Case,
    Judgement,
    JudgeProvenance,
    Sees,
    case_of_generation,
    unscored_reason,
)
from rim_eval.judging._drafts import resuming
from rim_eval.judging._grader import (
    Grader,
    ask_grader,
    escape_markers,
    failure_name,
    load_grader,
)
from rim_eval.judging._judge import (
    Judge,
    judge_names,
    judge_wording,
    load_judge,
    missing_grader_message,
    parse_judge,
)
from rim_eval.judging._labelled import LABELLED_SETS, load_labelled, parse_labelled
from rim_eval.judging._panel import graders_name
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._spec import (
    Dialogue,
    FieldsReader,
    Message,
    ReplyField,
    Source,
    WordReader,
)
from rim_eval.judging._structured import enforces_schema
from rim_eval.judging._validation import (
    Group,
    Measurement,
    Validation,
    ValidationFile,
    find_validations,
    load_validation,
    measure,
    save_measurement,
    validation_target,
)
from rim_eval.judging._verdict_parsing import parse_verdict

__all__ = [
    "LABELLED_SETS",
    "Agreement",
    "AgreementFigure",
    "Case",
    "Dialogue",
    "FieldsReader",
    "Grader",
    "Group",
    "Judge",
    "JudgeProvenance",
    "Judgement",
    "Measurement",
    "Message",
    "Pair",
    "ReplyField",
    "Sees",
    "Source",
    "Validation",
    "ValidationFile",
    "WordReader",
    "agreement",
    "ask_grader",
    "case_of_generation",
    "classify_refusal",
    "enforces_schema",
    "escape_markers",
    "failure_name",
    "find_validations",
    "graders_name",
    "judge_names",
    "judge_wording",
    "krippendorff",
    "load_grader",
    "load_judge",
    "load_labelled",
    "load_validation",
    "measure",
    "missing_grader_message",
    "parse_judge",
    "parse_labelled",
    "parse_verdict",
    "pool",
    "resuming",
    "save_measurement",
    "unsafe_traces",
    "unscored_reason",
    "validation_target",
]
