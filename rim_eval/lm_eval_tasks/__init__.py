"""The lm-eval door: tasks of one prompt set in one mode, their sample files, and the parity check.

The task files in `tasks/` name `load_prompts` and `mode_task.ModeTask`; everything else here reads
what such a run leaves, and needs no lm-eval.
"""

from rim_eval.lm_eval_tasks._judging import judge_samples
from rim_eval.lm_eval_tasks._parity import (
    Disagreement,
    Key,
    Parity,
    Seen,
    compare,
    replies_in_log,
    replies_in_samples,
)
from rim_eval.lm_eval_tasks._prompts import load_prompts
from rim_eval.lm_eval_tasks._record import Record, rate
from rim_eval.lm_eval_tasks._settings import Settings

__all__ = [
    "Disagreement",
    "Key",
    "Parity",
    "Record",
    "Seen",
    "Settings",
    "compare",
    "judge_samples",
    "load_prompts",
    "rate",
    "replies_in_log",
    "replies_in_samples",
]
