"""The lm-eval door: tasks of one prompt set in one mode, their sample files, and the parity check.

The task files in `tasks/` name `load_documents`, `rate` and `task.ModeTask`; everything else here reads
what such a run leaves, and needs no lm-eval.
"""

from rim_eval.lm_eval_tasks.parity import Key, Parity, compare, replies_in_log, replies_in_samples
from rim_eval.lm_eval_tasks.samples import ReplyRecord, judge_samples, kinds_in_samples, rate
from rim_eval.lm_eval_tasks.settings import Settings, load_documents

__all__ = [
    "Key",
    "Parity",
    "ReplyRecord",
    "Settings",
    "compare",
    "judge_samples",
    "kinds_in_samples",
    "load_documents",
    "rate",
    "replies_in_log",
    "replies_in_samples",
]
