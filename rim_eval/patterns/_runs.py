"""Pattern rows and observations of any logs, each run once and no two models under one name."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from rim_eval.errors import RimError
from rim_eval.observations import Run, Table, check, read_lm_eval_samples, read_observations
from rim_eval.patterns._apart import LogRows, Seen, newest_of_each_run, refuse_two_runs
from rim_eval.patterns._logs import NamedLog, is_injection, named_logs, read_log
from rim_eval.patterns._reading import MonitorId, Part
from rim_eval.patterns._rows import PatternRow, Reply, pattern_rows
from rim_eval.patterns._samples import pattern_rows_of_samples
from rim_eval.types import MODES

__all__ = ["PatternRuns", "read_runs"]


class PatternRuns(NamedTuple):
    """What monitors found in logs, and the observations of the same runs."""

    rows: list[PatternRow]
    """Each reading once, in an order that does not depend on that of the logs."""
    table: Table
    """The observations, by every judge; `rim_eval.observations.check` finds what occurs twice."""


def read_runs(sources: Iterable[str | Path]) -> PatternRuns:
    """Read what monitors found in logs, as `rim_eval.observations.read_observations` reads the observations.

    Of a run and its retries the latest log counts; a reading that a log shares with its copies counts
    once. Injection logs are passed over: their arms are no modes.

    Args:
        sources: Inspect logs, sample files, folders; `NAME=PATH` gives the rows of that path the model
            name NAME.

    Raises:
        RimError: A log cannot be read, no monitor has read any, two runs hold the same replies under one
            model's name or were not asked alike, or copies of one run hold different readings by one
            monitor.
    """
    found = list(_rows_by_log(named_logs(sources)))
    _refuse_unread(found)
    table = read_observations(str(one.log) for one in found)
    logs = newest_of_each_run(found)
    _refuse_unread(logs)
    refuse_two_runs((*_seen(table), *_seen_by_monitors(logs)), found)
    _refuse_mismatches(table)
    return PatternRuns(sorted(_each_once(logs), key=_place), table)


def _rows_by_log(logs: Iterable[NamedLog]) -> Iterator[LogRows[PatternRow]]:
    """One log at a time is in memory beside its rows."""
    for named in logs:
        if named.path.suffix == ".jsonl":
            [run] = read_lm_eval_samples(str(named.path)).runs
            rows = pattern_rows_of_samples(named.path)
            yield LogRows(named, _id(run), run.created or "", rows)
            continue
        log = read_log(named.path)
        if not is_injection(log):
            yield LogRows(named, log.eval.task_id, log.eval.created, pattern_rows(log))


def _refuse_unread(logs: Iterable[LogRows[PatternRow]]) -> None:
    if not any(one.rows for one in logs):
        raise RimError(
            "No monitor has read these logs yet: run `rim-eval patterns run LOGS` first."
        )


def _refuse_mismatches(table: Table) -> None:
    for problem in check(table):
        if problem.kind == "mismatch":
            raise RimError(f"{problem.says}: {', '.join(problem.ids[:3])}.")


def _seen(table: Table) -> Iterator[Seen]:
    ids = {run.id: _id(run) for run in table.runs}
    columns = ["model", "dataset", "prompt_id", "mode", "epoch", "run"]
    for *reply, run in table.frame[columns].itertuples(index=False, name=None):
        model, dataset, prompt, mode, epoch = reply
        yield Seen((model, dataset, prompt, mode, epoch), ids[run])


def _seen_by_monitors(logs: Iterable[LogRows[PatternRow]]) -> Iterator[Seen]:
    yield from (Seen(row.reply, one.run) for one in logs for row in one.rows)


def _id(run: Run) -> str:
    return run.group or run.id


def _each_once(logs: Iterable[LogRows[PatternRow]]) -> list[PatternRow]:
    """A reading that several copies of a log hold, once."""
    first: dict[tuple[Reply, Part, MonitorId], tuple[PatternRow, NamedLog]] = {}
    for one in logs:
        for row in one.rows:
            other, log = first.setdefault(row.reading, (row, one.log))
            if other != row:
                raise RimError(_differ(row, log, one.log))
    return [row for row, _ in first.values()]


def _differ(row: PatternRow, *logs: NamedLog) -> str:
    monitor = row.monitor
    return (
        f"{monitor.name}@{monitor.version} has read {row.prompt_id} of {row.dataset} ({row.model}) twice, "
        f"with different results: in {' and '.join(sorted(map(str, logs)))}. Give the one whose reading counts."
    )


def _place(row: PatternRow) -> tuple[str | int, ...]:
    """Where a row stands: by model, set, mode (think first), part, monitor, prompt and epoch."""
    monitor = row.monitor
    return (
        row.model,
        row.dataset,
        row.kind,
        MODES.index(row.mode),
        row.part,
        monitor.name,
        monitor.version,
        monitor.sha256,
        monitor.grader or "",
        row.prompt_id,
        row.epoch,
    )
