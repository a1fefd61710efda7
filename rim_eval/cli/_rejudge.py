"""Judging the replies of a finished Inspect log again: new scores, same replies, no evaluated model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        graders: The models to ask; each gives a score of its own. None for an offline judge.
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
    for number, grader in enumerate(graders or [None]):
        replace = overwrite and number == 0
        log = _scored(log, judge, {"grader": grader} if grader else {}, replace)
        log.eval.model_roles = None
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


def keep_log(log: "EvalLog", path: Path, graders: int = 1) -> str:
    """Write a log and say in a few lines what it comes to.

    Args:
        log: A log that `rejudge` made.
        path: Where to write it.
        graders: How many graders gave its last scores; several are counted as votes.

    Raises:
        RimError: There is a file of this name already, or it cannot be written.
    """
    from inspect_ai.log import write_eval_log

    if path.exists():
        raise RimError(f"{path} is already there: remove it, or choose another folder with --out.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(path))
    except OSError as error:
        raise RimError(f"{path} cannot be written: {error.strerror}.") from None
    rows, remarks = _newest(log, max(graders, 1))
    return "\n\n".join([tables(rows), *remarks, *_hidden_harm(log), f"Log: {path}"])


def tables(rows: "Sequence[Observation]") -> str:
    """One table a kind of prompts, as the demo prints them."""
    from rim_eval.report import table
    from rim_eval.summary import summarise

    return "\n\n".join(table(kind, summary) for kind, summary in summarise(rows).items())


def _newest(log: "EvalLog", graders: int) -> "tuple[list[Observation], list[str]]":
    """One row a reply by the graders that just judged, and how far they agree."""
    from rim_eval.judging import krippendorff
    from rim_eval.observations import rows_of_score

    votes: dict[tuple[str, int, str], list[Observation]] = {}
    for sample in log.samples or []:
        for score in list((sample.scores or {}).values())[-graders:]:
            for row in rows_of_score(score.metadata):
                votes.setdefault((row.prompt_id, row.epoch, row.mode), []).append(row)
    rows = [_elected(ballot) for ballot in votes.values()]
    if graders == 1:
        return rows, []
    alpha = krippendorff([[row.verdict for row in ballot] for ballot in votes.values()])
    shown = "not defined (all votes are equal)" if alpha is None else f"{alpha:.3f}"
    return rows, [f"{graders} graders vote; Krippendorff's alpha (1 = agreement): {shown}"]


def _elected(ballot: "Sequence[Observation]") -> "Observation":
    from rim_eval.judging import majority

    if len(ballot) == 1:
        return ballot[0]
    verdict, reason = majority([(row.verdict, row.reason) for row in ballot])
    graders = ", ".join(str(row.judge_model) for row in ballot)
    changes = {"verdict": verdict, "reason": reason, "score": None, "judge_model": graders}
    return ballot[0].model_copy(update=changes)


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
