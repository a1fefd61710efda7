"""Judges: from one reply to a verdict with its provenance, or to the reason why there is none."""

from rim_eval.judging._agreement import Agreement, Estimate, Pair, agreement
from rim_eval.judging._case import Case, Event, Judgement, JudgeProvenance, Sees
from rim_eval.judging._grader import Asked, Grader, ask
from rim_eval.judging._inputs import BothInputs, judge_both_inputs, unsafe_traces
from rim_eval.judging._judge import Judge, missing_grader_message
from rim_eval.judging._labelled import (
    LABELLED_SETS,
    LabelledReply,
    load_labelled,
    parse_labelled,
)
from rim_eval.judging._load import judge_names, load_judge, parse_judge
from rim_eval.judging._neutral import neutralise
from rim_eval.judging._panel import Panel, Seat, krippendorff, majority
from rim_eval.judging._readers import ReplyField, TagsReader
from rim_eval.judging._reading import Reading, read_reply
from rim_eval.judging._refusal import RefusalReading, classify_refusal
from rim_eval.judging._spec import GraderSettings, JudgeSpec, Message, Source
from rim_eval.judging._unscored import unscored_reason
from rim_eval.judging._validation import Measurement, Validation, measure
from rim_eval.judging._validation_file import (
    Saved,
    load_validation,
    place_for,
    read_validation,
    save_measurement,
    validation_path,
)
from rim_eval.judging._yaml import MarkedYaml, read_yaml

__all__ = [
    "LABELLED_SETS",
    "Agreement",
    "Asked",
    "BothInputs",
    "Case",
    "Estimate",
    "Event",
    "Grader",
    "GraderSettings",
    "Judge",
    "JudgeProvenance",
    "JudgeSpec",
    "Judgement",
    "LabelledReply",
    "MarkedYaml",
    "Measurement",
    "Message",
    "Pair",
    "Panel",
    "Reading",
    "RefusalReading",
    "ReplyField",
    "Saved",
    "Seat",
    "Sees",
    "Source",
    "TagsReader",
    "Validation",
    "agreement",
    "ask",
    "classify_refusal",
    "judge_both_inputs",
    "judge_names",
    "krippendorff",
    "load_judge",
    "load_labelled",
    "load_validation",
    "majority",
    "measure",
    "missing_grader_message",
    "neutralise",
    "parse_judge",
    "parse_labelled",
    "place_for",
    "read_reply",
    "read_validation",
    "read_yaml",
    "save_measurement",
    "unsafe_traces",
    "unscored_reason",
    "validation_path",
]
