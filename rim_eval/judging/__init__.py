"""Judges: from one reply to a verdict with its provenance, or to the reason why there is none."""

from rim_eval.judging._case import Case, Event, Judgement, JudgeProvenance, Sees
from rim_eval.judging._grader import Grader
from rim_eval.judging._inputs import BothInputs, judge_both_inputs
from rim_eval.judging._judge import Judge, missing_grader_message
from rim_eval.judging._load import judge_names, load_judge, parse_judge
from rim_eval.judging._neutral import neutralise
from rim_eval.judging._panel import Cascade, Panel, Seat, krippendorff
from rim_eval.judging._reading import Reading, read_reply
from rim_eval.judging._refusal import RefusalReading, classify_refusal
from rim_eval.judging._spec import JudgeSpec
from rim_eval.judging._unscored import unscored_reason

__all__ = [
    "BothInputs",
    "Cascade",
    "Case",
    "Event",
    "Grader",
    "Judge",
    "JudgeProvenance",
    "JudgeSpec",
    "Judgement",
    "Panel",
    "Reading",
    "RefusalReading",
    "Seat",
    "Sees",
    "classify_refusal",
    "judge_both_inputs",
    "judge_names",
    "krippendorff",
    "load_judge",
    "missing_grader_message",
    "neutralise",
    "parse_judge",
    "read_reply",
    "unscored_reason",
]
