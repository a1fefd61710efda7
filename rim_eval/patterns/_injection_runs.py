"""Injection rows of any logs, each run once and no two models under one name."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from rim_eval.errors import RimError
from rim_eval.patterns._apart import LogRows, Seen, newest_of_each_run, refuse_two_runs
from rim_eval.patterns._injection import InjectionRow, injection_rows
from rim_eval.patterns._logs import NamedLog, named_logs, read_log

__all__ = ["read_injection_runs"]


def read_injection_runs(sources: Iterable[str | Path]) -> list[InjectionRow]:
    """The rows of injection logs, by every judge; other logs are passed over.

    Of a run and its retries the latest log counts; a row that copies of a log share counts once.

    Args:
        sources: Inspect logs and folders; `NAME=PATH` gives the rows of that path the model name NAME.

    Returns:
        The rows, in an order that does not depend on that of the logs.

    Raises:
        RimError: A log cannot be read, none is of an injection run, one run is given under two names, or
            two runs hold the same replies under one model's name.
    """
    found = list(_rows_by_log(named_logs(sources)))
    if not found:
        raise RimError(
            "No injection run in these logs: run `inspect eval rim_eval/injection` first."
        )
    logs = newest_of_each_run(found)
    refuse_two_runs(_seen(logs), logs)
    return sorted({row for one in logs for row in one.rows}, key=_place)


def _rows_by_log(logs: Iterable[NamedLog]) -> Iterator[LogRows[InjectionRow]]:
    for named in logs:
        if named.path.suffix == ".jsonl":
            continue
        log = read_log(named.path)
        if rows := injection_rows(log):
            yield LogRows(named, log.eval.task_id, log.eval.created, rows)


def _seen(logs: Iterable[LogRows[InjectionRow]]) -> Iterator[Seen]:
    """Replies with their runs; the arms of other statements are other replies."""
    for one in logs:
        for row in one.rows:
            arm = f"{row.dataset} ({row.statements}, {row.statements_sha256[:8]}, {row.arm})"
            yield Seen((row.model, arm, row.prompt_id, row.mode, row.epoch), one.run)


def _place(row: InjectionRow) -> tuple[str | int, ...]:
    judge = (row.judge or "", row.judge_model or "", row.judge_sees or "")
    statements = (row.statements, row.statements_sha256)
    return (row.model, row.dataset, *statements, row.prompt_id, row.arm, row.epoch, *judge)
