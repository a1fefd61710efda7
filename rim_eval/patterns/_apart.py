"""Runs kept apart: of one reply only one run may speak, and of one name only one model."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar, cast

from rim_eval.errors import RimError
from rim_eval.observations import Observation
from rim_eval.patterns._logs import NamedLog
from rim_eval.patterns._rows import PatternRow, Reply

__all__ = ["LogRows", "Seen", "newest_of_each_run", "refuse_two_runs"]

Row = TypeVar("Row", bound=PatternRow | Observation)


@dataclass(frozen=True)
class LogRows(Generic[Row]):
    """The rows of one log."""

    log: NamedLog
    run: str
    """The run's id, the same for a log, its retries and its judged copies."""
    created: str
    """When the log was begun, ISO 8601: a retry's is later, a copy's the same."""
    rows: list[Row]


class Seen(NamedTuple):
    """One reply in one run."""

    reply: Reply
    run: str


def newest_of_each_run(logs: Sequence[LogRows[Row]]) -> list[LogRows[Row]]:
    """Logs without those that a retry continued; their rows under the model names given with them.

    Raises:
        RimError: One run is given under two names, or one name to several models.
    """
    _refuse_two_names(logs)
    _refuse_two_models(logs)
    last: dict[str, str] = {}
    for one in logs:
        last[one.run] = max(one.created, last.get(one.run, ""))
    return [_renamed(one) for one in logs if one.created == last[one.run]]


def _refuse_two_names(logs: Iterable[LogRows[Row]]) -> None:
    first: dict[str, NamedLog] = {}
    for one in logs:
        other = first.setdefault(one.run, one.log)
        if other.label != one.log.label:
            raise RimError(
                f"{other} and {one.log} hold the same run under two names: leave one of them out, or give "
                "the other model's log."
            )


def _refuse_two_models(logs: Iterable[LogRows[Row]]) -> None:
    models: dict[str | None, set[str]] = defaultdict(set)
    for one in logs:
        models[one.log.label] |= {row.model for row in one.rows}
    for label, ours in models.items():
        if label is not None and len(ours) > 1:
            raise RimError(
                f"{label}=... names one model, but these logs hold {len(ours)}: "
                f"{', '.join(sorted(ours))}. Name logs of one model."
            )


def _renamed(one: LogRows[Row]) -> LogRows[Row]:
    return one if one.log.label is None else replace(one, rows=_under(one.log.label, one.rows))


def _under(label: str, rows: Iterable[Row]) -> list[Row]:
    return [cast("Row", row.model_copy(update={"model": label})) for row in rows]


def refuse_two_runs(seen: Iterable[Seen], logs: Iterable[LogRows[Row]]) -> None:
    """Refuse replies that two runs give under one model's name: nobody knows which of them is meant.

    Args:
        seen: Replies with their runs.
        logs: The logs, to name the runs by.

    Raises:
        RimError: There are some; the message names the runs and what to do.
    """
    runs: dict[Reply, set[str]] = defaultdict(set)
    for reply, run in seen:
        runs[reply].add(run)
    if twice := {reply: ours for reply, ours in runs.items() if len(ours) > 1}:
        raise RimError(_says(twice, sorted(_places(set().union(*twice.values()), logs))))


def _places(runs: set[str], logs: Iterable[LogRows[Row]]) -> Iterator[str]:
    """One log of each run."""
    paths: dict[str, list[str]] = defaultdict(list)
    for one in logs:
        paths[one.run].append(str(one.log.path))
    yield from (min(paths[run]) for run in runs)


def _says(twice: Iterable[Reply], files: list[str]) -> str:
    replies = list(twice)
    ids = sorted({prompt for _, _, prompt, _, _ in replies})
    some = ", ".join(ids[:3]) + (" and others" if len(ids) > 3 else "")
    models = ", ".join(sorted({f"{model} on {dataset}" for model, dataset, *_ in replies}))
    apart = " ".join(f"name{number}={file}" for number, file in enumerate(files, start=1))
    return (
        f"{len(replies)} replies of {models} ({some}) stand in {len(files)} runs: {', '.join(files)}. "
        f"Where these are several models or checkpoints, name them apart: {apart}. "
        "Where they are runs of one model, give one of them."
    )
