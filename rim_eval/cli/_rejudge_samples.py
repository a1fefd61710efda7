"""Judging the replies in sample files of lm-eval: the figures over all files together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rim_eval.judging import Judge

if TYPE_CHECKING:
    from rim_eval.judging import Grader

__all__ = ["rejudge_samples"]


def rejudge_samples(
    files: Sequence[Path], judge: Judge, graders: "Sequence[Grader]", out: Path | None
) -> str:
    """Judge sample files and say what they come to: a file holds one mode, so both make the figures.

    Raises:
        RimError: A file is not of a rim task, or was judged before.
    """
    from rim_eval.cli._rejudge import tables
    from rim_eval.lm_eval_tasks import judge_samples

    done = [judge_samples(path, judge, graders, out=out) for path in files]
    rows = [row for _, found in done for row in found]
    names = [f"Samples: {path}" for path, _ in done]
    return "\n\n".join([tables(rows), "\n".join(names)])
