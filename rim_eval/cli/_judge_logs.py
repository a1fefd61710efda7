"""Finished logs for `rim-eval judge run`: find them, judge them again, and summarise the outcome."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog
    from inspect_ai.model import Model

    from rim_eval.observations import Observation

Ballot: TypeAlias = list[bool | None]
"""The verdicts of a panel's graders on one reply; None of a grader that gave none."""


def find_logs(paths: Iterable[Path]) -> list[Path]:
    """Files to judge: of a folder all logs and sample files, but not the copies made by judging.

    Raises:
        RimError: A path does not exist, or a folder holds neither.
    """
    from rim_eval.observations import LOGS, log_files

    paths = list(paths)
    files = [Path(file) for _, file in log_files(paths, LOGS)]

    def is_copy(file: Path) -> bool:
        # LOG.JUDGE.eval is a copy when LOG.eval lies beside it.
        origin = file.stem.rpartition(".")[0]
        return bool(origin) and file.with_name(origin + file.suffix) in files

    return [file for file in files if file in paths or not is_copy(file)]


def rejudge(
    path: Path, judge: str, graders: "Sequence[Model]", *, overwrite: bool = False
) -> "EvalLog":
    """Score a log of a rim_eval task with another judge, without the evaluated model.

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
    from rim_eval.inspect_tasks.scorers import rim
    from rim_eval.inspect_tasks.scoring import score_again
    from rim_eval.judging import load_judge
    from rim_eval.observations import load_inspect_log

    log = load_inspect_log(path)
    for sample in log.samples or []:
        load_judge(judge).event(sample.metadata["kind"])
    action: Literal["append", "overwrite"] = "overwrite" if overwrite else "append"
    return score_again(log, rim(judge=judge), list(graders), action)


def write_log(log: "EvalLog", path: Path) -> str:
    """Write a log that `rejudge` made, and describe its outcome in a few lines.

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
    # What the judge that just judged left of each sample.
    last = [list((sample.scores or {}).values())[-1:] for sample in log.samples or []]
    newest = [score.metadata or {} for scores in last for score in scores]
    rows = [row for metadata in newest for row in rows_of_score(metadata)]
    panels = (votes for about in newest for votes in about.get("judge_votes", {}).values())
    remarks = [*grader_agreement(_ballots(panels)), *_unsafe_traces(log)]
    return "\n\n".join([tables(rows), *remarks, f"Log: {path}"])


def tables(rows: "Sequence[Observation]") -> str:
    """One table a kind of prompts, as the demo prints them."""
    from rim_eval.results.figures import set_results
    from rim_eval.results.text_table import text_table

    return "\n\n".join(map(text_table, set_results(rows).values()))


def sample_file_ballots(path: Path) -> list[Ballot]:
    """The ballots in a judged sample file of lm-eval."""
    from rim_eval.observations import sample_lines

    records = (sample.get("record", {}) for sample in sample_lines(path))
    return _ballots(record.get("judge_votes", ()) for record in records)


def _ballots(panels: Iterable[Sequence[Mapping[str, Any]]]) -> list[Ballot]:
    # The cheap stage of a cascade is kept among the votes, but asks no grader.
    ballots = (
        [vote.get("verdict") for vote in votes if vote["judge_model"] is not None]
        for votes in panels
    )
    return [ballot for ballot in ballots if len(ballot) > 1]


def grader_agreement(ballots: Sequence[Ballot]) -> list[str]:
    """Krippendorff's alpha among a panel's graders, in a sentence; nothing where no panel voted."""
    from rim_eval.judging import krippendorff

    if not ballots:
        return []
    alpha = krippendorff(ballots)
    value = "not defined (all votes are equal)" if alpha is None else f"{alpha:.3f}"
    return [
        f"{max(map(len, ballots))} graders vote; Krippendorff's alpha (1 = agreement): {value}, "
        f"n = {len(ballots)} replies"
    ]


def _unsafe_traces(log: "EvalLog") -> list[str]:
    """The share of unsafe traces under safe answers, when one judge has read both apart."""
    from rim_eval.judging import unsafe_traces
    from rim_eval.observations import from_inspect_log
    from rim_eval.statistics import rate

    k, n = unsafe_traces(
        ((row.judge, row.prompt_id, row.epoch, row.mode), row.judge_sees, row.verdict)
        for row in from_inspect_log(log)
        if row.kind == "harmful"
    )
    if not n:
        return []
    share = rate(k, n)
    return [
        f"Unsafe trace under a safe answer: {k} of {n} replies "
        f"({share.value:.1%}, 95 % interval {share.lower:.1%} to {share.upper:.1%})"
    ]
