"""Judging the replies of a finished Inspect log again: new scores, same replies, no evaluated model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

__all__ = ["keep_log", "rejudge"]


def rejudge(
    path: Path, judge: str, grader: "Model | None", *, overwrite: bool = False
) -> "EvalLog":
    """Score a log of a rim_eval task with another judge.

    Args:
        path: An Inspect log (`.eval` or `.json`).
        judge: Name or path of the judge, as `-T judge=` takes it.
        grader: The model to ask.
        overwrite: Whether the new scores replace the old ones.

    Returns:
        A copy of the log with the new scores and figures.

    Raises:
        RimError: The file is no such log, or its prompts are not of a kind that the judge reads.
    """
    from inspect_ai import score
    from inspect_ai.model import get_model

    from rim_eval.inspect_tasks._scorers import rim
    from rim_eval.judging import load_judge

    log = _read(path)
    for sample in log.samples or []:
        load_judge(judge).event(sample.metadata["kind"])
    roles: dict[str, Any] = {"grader": grader} if grader is not None else {}
    # The header's roles would be built again, and with them the old grader's weights.
    before, log.eval.model_roles = log.eval.model_roles, None
    again = score(
        log,
        rim(judge=judge),
        model=get_model("none/none"),
        model_roles=roles,
        action="overwrite" if overwrite else "append",
        display="none",
        copy=False,
    )
    again.eval.model_roles = before
    return again


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

    Raises:
        RimError: There is a file of this name already, or it cannot be written.
    """
    from inspect_ai.log import write_eval_log

    from rim_eval.observations import from_inspect_log
    from rim_eval.report import table
    from rim_eval.summary import summarise

    if path.exists():
        raise RimError(f"{path} is already there: remove it, or choose another folder with --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(path))
    except OSError as error:
        raise RimError(f"{path} cannot be written: {error.strerror}.") from None
    newest = _only_newest(log)
    tables = [table(kind, summary) for kind, summary in summarise(from_inspect_log(newest)).items()]
    return "\n\n".join([*tables, *_hidden_harm(log), f"Log: {path}"])


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


def _only_newest(log: "EvalLog") -> "EvalLog":
    """The log with each sample's last score alone: the figures of the judge that just ran."""
    samples = [
        sample.model_copy(update={"scores": dict(list((sample.scores or {}).items())[-1:])})
        for sample in log.samples or []
    ]
    return log.model_copy(update={"samples": samples})
