"""Logs of both harnesses: find them, let a monitor read sample files, and gather what monitors found.

Which logs count (retries, model names), `rim_eval.observations` decides; pattern rows join its table.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.judging import Case, Grader
from rim_eval.observations import (
    Observation,
    Run,
    Table,
    check,
    label_of,
    latest_runs,
    read_lm_eval_samples,
    read_observations,
    refuse_two_names,
    sample_lines,
)
from rim_eval.patterns.monitor import Monitor, MonitorId, Part, read_patterns
from rim_eval.patterns.rows import PatternRow, ReplyKey, pattern_rows, reply_of, rows_of_metadata
from rim_eval.types import MODES

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog

_REPLIES: Final = "rim_eval:generations"
_INJECTED: Final = "rim_eval:injected"
_CONCURRENT: Final = 32

Row = TypeVar("Row", bound=PatternRow | Observation)


class LogSource(NamedTuple):
    """A log file, with the model name that was given as `NAME=PATH`, if any."""

    label: str | None
    path: Path

    def __str__(self) -> str:
        return str(self.path) if self.label is None else f"{self.label}={self.path}"


def log_sources(sources: Iterable[str | Path]) -> list[LogSource]:
    """Expand paths, folders and `NAME=PATH` to log files, each once under each name.

    Raises:
        RimError: A source holds no log.
    """
    logs: dict[LogSource, None] = {}
    for source in sources:
        label, path = label_of(str(source))
        logs |= {LogSource(label, log): None for log in find_logs([Path(path)])}
    return list(logs)


def find_logs(paths: Sequence[Path]) -> list[Path]:
    """Return the log files among paths and in folders, in order, each once.

    Raises:
        RimError: There is none.
    """
    logs = [log for path in paths for log in (_logs_in(path) if path.is_dir() else [path])]
    if not logs or not all(path.is_file() for path in logs):
        named = ", ".join(map(str, paths)) or "nothing"
        raise RimError(
            f"No log in {named}. Name Inspect logs (.eval), lm-eval sample files (samples_rim_*.jsonl), or folders."
        )
    return list({path.resolve(): path for path in logs}.values())


def _logs_in(folder: Path) -> list[Path]:
    return [*sorted(folder.glob("*.eval")), *sorted(folder.rglob("samples_rim_*.jsonl"))]


def read_log(path: Path) -> "EvalLog":
    """Read an Inspect log of a rim_eval task, with its samples.

    Raises:
        RimError: The file is no such log.
    """
    from inspect_ai.log import read_eval_log

    try:
        log = read_eval_log(str(path))
    except Exception as error:  # zip, JSON and pydantic errors, by the log's format
        raise RimError(f"{path}: not an Inspect log ({error}).") from error
    if not any({_REPLIES, _INJECTED} & sample.store.keys() for sample in log.samples or []):
        raise RimError(f"{path}: no replies of a rim_eval task in it (task {log.eval.task}).")
    return log


def read_sample_file(
    path: Path, monitor: Monitor, parts: Sequence[Part], grader: Grader | None, target: Path
) -> list[PatternRow]:
    """Let a monitor read every reply of a sample file, and write the file with the labels added.

    Earlier rows of other monitors are kept; the observations' `patterns` column takes the newest
    trace findings.

    Args:
        path: The sample file.
        monitor: The monitor.
        parts: The parts to read.
        grader: The model to ask.
        target: Where the file is written; may be `path` itself.

    Returns:
        The new rows.

    Raises:
        RimError: The file is not of a rim task.
    """
    samples = list(sample_lines(path))
    if not all({"generation", "observation"} <= set(one.get("record") or ()) for one in samples):
        raise RimError(
            f"{path}: not samples of a rim task. Give sample files of `rim_...` tasks (samples_rim_*.jsonl)."
        )
    rows = asyncio.run(_read_samples(samples, monitor, parts, grader))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".part")  # a stopped run leaves the old file whole
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    partial.replace(target)
    return rows


async def _read_samples(
    samples: Sequence[dict[str, Any]],
    monitor: Monitor,
    parts: Sequence[Part],
    grader: Grader | None,
) -> list[PatternRow]:
    slots = asyncio.Semaphore(_CONCURRENT)

    async def read_one(sample: dict[str, Any]) -> list[PatternRow]:
        async with slots:
            return [await _read_sample(sample, monitor, part, grader) for part in parts]

    rows = await asyncio.gather(*map(read_one, samples))
    return list(chain.from_iterable(rows))


async def _read_sample(
    sample: dict[str, Any], monitor: Monitor, part: Part, grader: Grader | None
) -> PatternRow:
    """Read one part, and write the labels into the sample."""
    observation = sample["record"]["observation"]
    reply = Generation.model_validate(sample["record"]["generation"])
    reading = await read_patterns(monitor, _case(sample["doc"], reply), part, grader, reply)
    names = ("model", "dataset", "prompt_id", "kind", "category", "mode", "epoch")
    row = PatternRow.of({name: observation[name] for name in names if name in observation}, reading)
    quotes = [finding.model_dump(mode="json") for finding in reading.findings]
    sample.setdefault("patterns", []).append(row.model_dump(mode="json", exclude_defaults=True))
    sample.setdefault("pattern_quotes", []).append(quotes)
    if part == "trace":
        observation["patterns"] = list(row.patterns) if row.read else None
    return row


def _case(doc: Mapping[str, Any], reply: Generation) -> Case:
    return Case(
        prompt_text=doc["request"],
        context=doc.get("context"),
        kind=doc["kind"],
        category=doc.get("category"),
        answer=reply.answer,
        trace=reply.trace,
    )


class LogRows(NamedTuple, Generic[Row]):
    """The rows of one log, and its run."""

    source: LogSource
    run: Run
    rows: list[Row]

    @property
    def group(self) -> str:
        """Id of the run, shared by a log, its retries and its judged copies."""
        return self.run.group or self.run.id

    def renamed(self) -> "LogRows[Row]":
        """Give the run and its rows the model name of `NAME=PATH`, if there is one."""
        if self.source.label is None:
            return self
        update = {"model": self.source.label}
        rows = [cast("Row", row.model_copy(update=update)) for row in self.rows]
        return LogRows(self.source, self.run.model_copy(update=update), rows)


def rows_of_log(
    source: LogSource, log: "EvalLog", read_rows: "Callable[[EvalLog], list[Row]]"
) -> LogRows[Row]:
    """Return the rows of an Inspect log with its run, as far as merging needs it.

    Args:
        source: Where the log is.
        log: The log.
        read_rows: Returns the rows of a log.
    """
    run = Run(
        id=log.eval.eval_id,
        group=log.eval.task_id,
        harness="inspect_ai",
        log=source.path.name,
        created=str(log.eval.created),
        model=log.eval.model,
        dataset=log.eval.dataset.name or log.eval.task,
    )
    return LogRows(source, run, read_rows(log))


def latest_logs(logs: Sequence[LogRows[Row]]) -> list[LogRows[Row]]:
    """Give logs their model names, and leave out those that a retry continued.

    Raises:
        RimError: One name was given to the logs of several models, or one run has two names.
    """
    models: dict[str | None, set[str]] = defaultdict(set)
    for log in logs:
        models[log.source.label] |= {row.model for row in log.rows}
    for label, several in models.items():
        if label is not None and len(several) > 1:
            raise RimError(
                f"{label}=... names one model, but these logs hold {len(several)}: "
                f"{', '.join(sorted(several))}. Name logs of one model."
            )
    renamed = [log.renamed() for log in logs]
    refuse_two_names((str(log.source), log.group, log.run.model) for log in renamed)
    latest = latest_runs(log.run for log in renamed)
    return [log for log in renamed if log.run in latest]


class PatternRuns(NamedTuple):
    """What monitors found in logs, and the observations of the same runs."""

    rows: list[PatternRow]
    """Each reading once, in an order that does not depend on that of the logs."""
    table: Table
    """The observations, by every judge."""


def read_runs(sources: Iterable[str | Path]) -> PatternRuns:
    """Read the observations of logs, and what monitors found in them.

    Of a run and its retries the latest log counts; a reading that a log shares with its copies
    counts once. Injection logs are ignored: their arms are not modes.

    Args:
        sources: Inspect logs, sample files, folders; `NAME=PATH` gives the rows of that path the
            model name NAME.

    Raises:
        RimError: A log cannot be read, no monitor has read any, two runs hold the same replies under
            one model's name or have different settings, or copies of one run hold different readings
            by one monitor.
    """
    logs = list(_read_logs(log_sources(sources)))
    latest = latest_logs(logs)
    if not any(log.rows for log in latest):
        raise RimError(
            "No monitor has read these logs yet: run `rim-eval patterns run LOGS` first."
        )
    table = read_observations(str(log.source) for log in logs)
    refuse_several_runs(_groups_by_reply(table, latest), logs)
    for problem in check(table):
        if problem.kind == "mismatch":
            raise RimError(f"{problem.says}: {', '.join(problem.ids[:3])}.")
    return PatternRuns(sorted(_each_reading_once(latest), key=_sort_key), table)


def _read_logs(sources: Iterable[LogSource]) -> Iterator[LogRows[PatternRow]]:
    """Read one log at a time, so that one is in memory beside the rows."""
    for source in sources:
        if source.path.suffix == ".jsonl":
            [run] = read_lm_eval_samples(str(source.path)).runs
            lines = sample_lines(source.path)
            rows = {row.reading: row for line in lines for row in rows_of_metadata(line)}
            yield LogRows(source, run, list(rows.values()))
            continue
        log = read_log(source.path)
        if not any(_INJECTED in sample.store for sample in log.samples or []):
            yield rows_of_log(source, log, pattern_rows)


def _groups_by_reply(
    table: Table, logs: Iterable[LogRows[PatternRow]]
) -> Iterator[tuple[ReplyKey, str]]:
    """Each reply with the run that holds it: of the verdicts, and of the readings."""
    groups = {run.id: run.group or run.id for run in table.runs}
    columns = ["model", "dataset", "prompt_id", "mode", "epoch", "run"]
    for *reply, run in table.frame[columns].itertuples(index=False, name=None):
        model, dataset, prompt_id, mode, epoch = reply
        yield (model, dataset, prompt_id, mode, epoch), groups[run]
    yield from ((reply_of(row), log.group) for log in logs for row in log.rows)


def refuse_several_runs(
    replies: Iterable[tuple[ReplyKey, str]], logs: Iterable[LogRows[Any]]
) -> None:
    """Refuse replies that several runs hold under one model's name: which one counts is unknown.

    Args:
        replies: Replies, each with the group of a run that holds it.
        logs: The logs, to name the runs by.

    Raises:
        RimError: There are some; the message names the runs and the next step.
    """
    groups: dict[ReplyKey, set[str]] = defaultdict(set)
    for reply, group in replies:
        groups[reply].add(group)
    shared = {reply: several for reply, several in groups.items() if len(several) > 1}
    if not shared:
        return
    paths: dict[str, list[str]] = defaultdict(list)
    for log in logs:
        paths[log.group].append(str(log.source.path))
    files = sorted(min(paths[group]) for group in set().union(*shared.values()))
    prompts = sorted({reply[2] for reply in shared})
    some = ", ".join(prompts[:3]) + (" and others" if len(prompts) > 3 else "")
    models = ", ".join(sorted({f"{reply[0]} on {reply[1]}" for reply in shared}))
    apart = " ".join(f"name{number}={file}" for number, file in enumerate(files, start=1))
    raise RimError(
        f"{len(shared)} replies of {models} ({some}) stand in {len(files)} runs: {', '.join(files)}. "
        f"Where these are several models or checkpoints, name them apart: {apart}. "
        "Where they are runs of one model, give one of them."
    )


def _each_reading_once(logs: Iterable[LogRows[PatternRow]]) -> list[PatternRow]:
    """Count a reading once that several copies of a log hold."""
    first: dict[tuple[ReplyKey, Part, MonitorId], tuple[PatternRow, LogSource]] = {}
    for log in logs:
        for row in log.rows:
            other, source = first.setdefault(row.reading, (row, log.source))
            if other != row:
                files = " and ".join(sorted((str(source), str(log.source))))
                raise RimError(
                    f"{row.monitor.name}@{row.monitor.version} has read {row.prompt_id} of {row.dataset} "
                    f"({row.model}) twice, with different results: in {files}. Give the one whose reading counts."
                )
    return [row for row, _ in first.values()]


def _sort_key(row: PatternRow) -> tuple[Any, ...]:
    """Order by model, set, mode (think first), part, monitor, prompt and epoch."""
    group = (row.model, row.dataset, row.kind, MODES.index(row.mode), row.part)
    return (*group, *(str(value) for _, value in row.monitor), row.prompt_id, row.epoch)
