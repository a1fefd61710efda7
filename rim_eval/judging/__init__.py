"""Judges: from one reply to a verdict with its provenance, or to the reason why there is none."""

from rim_eval.judging._case import (
    Case,
    Judgement,
    JudgeProvenance,
    Sees,
    only_mode_of,
    unscored_reason,
)
from rim_eval.judging._drafts import counted, resuming
from rim_eval.judging._grader import Grader, ask_grader, render_messages
from rim_eval.judging._judge import (
    Judge,
    judge_limits,
    judge_names,
    judge_wording,
    load_judge,
    parse_judge,
)
from rim_eval.judging._labelled import LABELLED_SETS, load_labelled
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._repeats import (
    JudgeRepeats,
    RepeatCell,
    RepeatedArm,
    count_repeats,
    draw_replies,
    read_repeats,
    readings_of,
)
from rim_eval.judging._request import enforces_schema
from rim_eval.judging._spec import Dialogue, Message, Source
from rim_eval.judging._validation import (
    MeasuredGroup,
    Measurement,
    Validation,
    load_validation,
    measure,
    read_validation,
    save_measurements,
    validation_path,
)
from rim_eval.judging._verdict_parsing import parse_verdict

__all__ = [
    "LABELLED_SETS",
    "Case",
    "Dialogue",
    "Grader",
    "Judge",
    "JudgeProvenance",
    "JudgeRepeats",
    "Judgement",
    "MeasuredGroup",
    "Measurement",
    "Message",
    "RepeatCell",
    "RepeatedArm",
    "Sees",
    "Source",
    "Validation",
    "ask_grader",
    "classify_refusal",
    "count_repeats",
    "counted",
    "draw_replies",
    "enforces_schema",
    "judge_limits",
    "judge_names",
    "judge_wording",
    "load_judge",
    "load_labelled",
    "load_validation",
    "measure",
    "only_mode_of",
    "parse_judge",
    "parse_verdict",
    "read_repeats",
    "read_validation",
    "readings_of",
    "render_messages",
    "resuming",
    "save_measurements",
    "unscored_reason",
    "validation_path",
]
