"""Judging the replies of a finished Inspect log again: new scores, same replies, no evaluated model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_eval.cli._judge_votes import agreement_of, ballots_of_scores
from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from rim_eval.observations import Observation

__all__ = ["keep_log", "rejudge", "tables"]


def rejudge(
    path: Path, judge: str, graders: "Sequence[Model]", *, overwrite: bool = False
) -> "EvalLog":
    """Score a log of a rim_eval task with another judge.

    Args:
        path: An Inspect log (`.eval` or `.json`).
        judge: Name or path of the judge, as `-T judge=` takes it.
        graders: The models to ask; several vote, and the score is the vote. None for an offline judge.
        overwrite: Whether the new scores replace the old ones.

    Returns:
        A copy of the log with the new scores and figures.

    Raises:
        RimError: The file is no such log, or its prompts are not of a kind that the judge reads.
    """
    from rim_eval.judging import load_judge

    log = _read(path)
    for sample in log.samples or []:
        load_judge(judge).event(sample.metadata["kind"])
    # The header's roles would be built again, and with them the old grader's weights.
    before, log.eval.model_roles = log.eval.model_roles, None
    log = _scored(log, judge, {"grader": list(graders)} if graders else {}, overwrite)
    log.eval.model_roles = before
    return log


def _scored(log: "EvalLog", judge: str, roles: dict[str, Any], overwrite: bool) -> "EvalLog":
    from inspect_ai import score
    from inspect_ai.model import get_model

    from rim_eval.inspect_tasks._scorers import rim

    return score(
        log,
        rim(judge=judge),
        model=get_model("none/none"),
        model_roles=roles,
        action="overwrite" if overwrite else "append",
        display="none",
        copy=False,
    )


def _read(path: Path) -> "EvalLog":
    from inspect_ai.log import read_eval_log

    if not path.is_file():
        raise RimError(f"{path}: there is no such log.")
    try:
        log = read_eval_log(str(path))
    except Exception as error:
        raise RimError(f"{path}: not an Inspect log ({error}).") from error
    if not any("rim_eval:generations" in sample.store for sample in log.samples or []):
        raise RimError(f"{path}: no replies of a rim_eval task in it (task {log.eval.task}).")
    return log


def keep_log(log: "EvalLog", path: Path) -> str:
    """Write a log and say in a few lines what it comes to.

    Args:
        log: A log that `rejudge` made.
        path: Where to write it.

    Raises:
        RimError: It cannot be written.
    """
    from inspect_ai.log import write_eval_log

    from rim_eval.observations import rows_of_score

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(path))
    except OSError as error:
        raise RimError(f"{path} cannot be written: {error.strerror}.") from None
    newest = _newest(log)
    rows = [row for metadata in newest for row in rows_of_score(metadata)]
    remarks = [*agreement_of(ballots_of_scores(newest)), *_hidden_harm(log)]
    return "\n\n".join([tables(rows), *remarks, f"Log: {path}"])


def tables(rows: "Sequence[Observation]") -> str:
    """One table a kind of prompts, as the demo prints them."""
    from rim_eval.results.figures import set_results
    from rim_eval.results.text_table import text_table

    return "\n\n".join(map(text_table, set_results(rows).values()))


def _newest(log: "EvalLog") -> list[dict[str, Any]]:
    """What the judge that just judged left of each sample."""
    scores = (list((sample.scores or {}).values())[-1:] for sample in log.samples or [])
    return [score.metadata or {} for last in scores for score in last]


def _hidden_harm(log: "EvalLog") -> list[str]:
    """The share of unsafe traces under safe answers, when one judge has read both apart."""
    from rim_eval.judging import unsafe_traces
    from rim_eval.observations import from_inspect_log
    from rim_eval.statistics import rate

    votes = [
        ((row.judge, row.prompt_id, row.epoch, row.mode), row.judge_sees, row.verdict)
        for row in from_inspect_log(log)
        if row.kind == "harmful"
    ]
    k, n = unsafe_traces(votes)
    if not n:
        return []
    found = rate(k, n)
    return [
        f"Unsafe trace under a safe answer: {k} of {n} replies "
        f"({found.value:.1%}, 95 % interval {found.lower:.1%} to {found.upper:.1%})"
    ]
