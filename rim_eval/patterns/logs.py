"""Logs of both harnesses: let a monitor read sample files, and gather what monitors found.

Which logs count (retries, model names), `rim_eval.observations` decides; pattern rows join its table.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple

from rim_eval import observations
from rim_eval.errors import RimError
from rim_eval.files import whole_file
from rim_eval.generation import INJECTED_KEY, REPLIES_KEY, Generation
from rim_eval.judging import Grader
from rim_eval.patterns.monitor import Monitor, MonitorId, Part, read_patterns
from rim_eval.patterns.rows import (
    InjectionRow,
    LogRow,
    PatternRow,
    ReplyKey,
    note_findings,
    rows_of_log,
    rows_of_metadata,
)
from rim_eval.replies import case_of
from rim_eval.types import MODES

_CONCURRENT: Final = 32


def read_sample_file(
    path: Path, monitor: Monitor, parts: Sequence[Part], grader: Grader | None, target: Path
) -> list[PatternRow]:
    """Let a monitor read every reply of a sample file, and write the file with the labels added.

    Earlier rows of other monitors are kept; the observations' `patterns` column takes the newest
    trace findings.

    Returns the new rows. `target`, where the file is written, may be `path` itself.

    Raises:
        RimError: The file is not of a rim task.
    """
    samples = list(observations.sample_lines(path))
    if not all({"generation", "observation"} <= set(one.get("record") or ()) for one in samples):
        raise RimError(
            f"{path}: not samples of a rim task. Give sample files of `rim_...` tasks (samples_rim_*.jsonl)."
        )

    slots = asyncio.Semaphore(_CONCURRENT)

    async def read(sample: dict[str, Any]) -> list[PatternRow]:
        observation = sample["record"]["observation"]
        reply = Generation.model_validate(sample["record"]["generation"])
        case = case_of(sample["doc"], reply)
        async with slots:
            readings = [await read_patterns(monitor, case, part, grader, reply) for part in parts]
        rows = [PatternRow.of(observation, reading) for reading in readings]
        for row, reading in zip(rows, readings, strict=True):
            labels = row.model_dump(mode="json", exclude_defaults=True)
            quotes = [finding.model_dump(mode="json") for finding in reading.findings]
            sample.setdefault("patterns", []).append(labels)
            sample.setdefault("pattern_quotes", []).append(quotes)
            note_findings(observation, row)
        return rows

    async def read_all() -> list[PatternRow]:
        return list(chain.from_iterable(await asyncio.gather(*map(read, samples))))

    rows = asyncio.run(read_all())
    with whole_file(target) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    return rows


class LogRows(NamedTuple, Generic[LogRow]):
    """The rows of one log and its run, under the model name of `NAME=PATH` where one was given."""

    source: str
    """The log's path, with its name as `NAME=PATH`."""
    path: str
    run: observations.Run
    rows: list[LogRow]
    """Empty where a retry continued the log."""

    @property
    def group(self) -> str:
        """Id of the run, shared by a log, its retries and its judged copies."""
        return self.run.group or self.run.id


def read_rows(sources: Iterable[str | Path], row_type: type[LogRow]) -> list[LogRows[LogRow]]:
    """Read the rows of logs, one log at a time, so that one is in memory beside the rows.

    Args:
        sources: Inspect logs, sample files, folders; `NAME=PATH` gives the rows of that path the
            model name NAME.
        row_type: `InjectionRow` reads the logs of injection runs, `PatternRow` the others.

    Raises:
        RimError: A log cannot be read, one name was given to the logs of several models, one run
            has two names, or two runs hold the same replies under one model's name.
    """
    models: dict[str, set[str]] = defaultdict(set)
    logs: list[LogRows[LogRow]] = []
    for label, path in observations.log_files(sources, observations.LOGS):
        run, rows, injected = _rows_of_file(path, row_type)
        if injected is not issubclass(row_type, InjectionRow):
            continue
        source = path
        if label is not None:
            models[label].add(run.model)
            source, update = f"{label}={path}", {"model": label}
            run = run.model_copy(update=update)
            rows = [row.model_copy(update=update) for row in rows]
        logs.append(LogRows(source, path, run, rows))
    for label, several in models.items():
        observations.refuse_several_models(label, several)
    observations.refuse_two_names((log.source, log.group, log.run.model) for log in logs)
    latest = observations.latest_runs(log.run for log in logs)
    logs = [log if log.run in latest else log._replace(rows=[]) for log in logs]
    _refuse_several_runs(logs)
    return logs


def _rows_of_file(path: str, row_type: type[LogRow]) -> tuple[observations.Run, list[LogRow], bool]:
    """The run of a log, its rows, and whether it is an injection run, whose arms are not modes."""
    if path.endswith(".jsonl"):
        [run] = observations.read_lm_eval_samples(path).runs
        return run, rows_of_metadata(observations.sample_lines(Path(path)), row_type), False
    log = observations.load_inspect_log(path, REPLIES_KEY, INJECTED_KEY)
    rows = rows_of_log(log, row_type)
    run = observations.Run(
        id=log.eval.eval_id,
        group=log.eval.task_id,
        harness="inspect_ai",
        log=Path(path).name,
        created=str(log.eval.created),
        model=rows[0].model if rows else log.eval.model,
        dataset=log.eval.dataset.name or log.eval.task,
    )
    injected = any(INJECTED_KEY in sample.store for sample in log.samples or [])
    return run, rows, injected


def _refuse_several_runs(logs: Iterable[LogRows[LogRow]]) -> None:
    """Refuse replies that several runs hold under one model's name: which one counts is unknown."""
    groups: dict[ReplyKey, set[str]] = defaultdict(set)
    paths: dict[str, list[str]] = defaultdict(list)
    for log in logs:
        paths[log.group].append(log.path)
        for row in log.rows:
            groups[row.reply].add(log.group)
    shared = {reply: several for reply, several in groups.items() if len(several) > 1}
    if not shared:
        return
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


def read_runs(sources: Iterable[str | Path]) -> tuple[list[PatternRow], observations.Table]:
    """Read what monitors found in logs, and the observations of the same runs by every judge.

    Of a run and its retries the latest log counts; a reading that a log shares with its copies
    counts once. Injection logs are ignored.

    Args:
        sources: As `read_rows` takes them.

    Raises:
        RimError: A log cannot be read, no monitor has read any, two runs that monitors have read hold the
            same replies under one model's name, runs have different settings, or copies of one run hold different readings
            by one monitor.
    """
    logs = read_rows(sources, PatternRow)
    if not any(log.rows for log in logs):
        step = "run `rim-eval patterns run LOGS` first"
        raise RimError(f"No monitor has read these logs yet: {step}.")
    table = observations.read_observations(log.source for log in logs)
    for problem in observations.check(table):
        if problem.kind == "mismatch":
            raise RimError(f"{problem.says}: {', '.join(problem.ids[:3])}.")
    # Each reading once: of copies of a log any, which must agree; within one log the newest.
    first: dict[tuple[ReplyKey, Part, MonitorId], tuple[PatternRow, str]] = {}
    for log in logs:
        for reading, row in {row.reading: row for row in log.rows}.items():
            other, source = first.setdefault(reading, (row, log.source))
            if other != row:
                files = " and ".join(sorted((source, log.source)))
                raise RimError(
                    f"{row.monitor} has read {row.prompt_id} of {row.dataset} ({row.model}) twice, with "
                    f"different results: in {files}. Give the one whose reading counts."
                )

    def order(row: PatternRow) -> tuple[str | int, ...]:
        about = (row.model, row.dataset, row.kind, MODES.index(row.mode), row.part)
        return (*about, row.monitor.model_dump_json(), row.prompt_id, row.epoch)

    return sorted((row for row, _ in first.values()), key=order), table
