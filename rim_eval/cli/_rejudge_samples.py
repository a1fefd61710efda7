"""Judging the replies in a sample file of lm-eval."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rim_eval.judging import Judge

if TYPE_CHECKING:
    from rim_eval.judging import Grader
    from rim_eval.observations import Observation

__all__ = ["rejudge_samples"]


def rejudge_samples(
    path: Path, judge: Judge, graders: "Sequence[Grader]", target: Path
) -> "list[Observation]":
    """Judge a sample file of a rim task and write it with the new verdicts.

    Raises:
        RimError: The file is not of a rim task, or was judged before.
    """
    from rim_eval.lm_eval_tasks import judge_samples

    return judge_samples(path, judge, graders, target=target)
