"""The lm-eval door: tasks of one prompt set in one mode, their sample files, and the parity check.

The task files in `tasks/` name `load_prompts` and `mode_task.ModeTask`; everything else here reads
what such a run leaves, and needs no lm-eval.
"""

from rim_eval.lm_eval_tasks._prompts import load_prompts
from rim_eval.lm_eval_tasks._record import Record
from rim_eval.lm_eval_tasks._settings import Settings

__all__ = ["Record", "Settings", "load_prompts"]
