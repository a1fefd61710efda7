"""Logs of both harnesses: let a monitor read sample files, and gather what monitors found.

Which logs count (retries, model names), `rim_eval.observations` decides; pattern rows join its table.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Generic, NamedTuple

from rim_eval import observations
from rim_eval.errors import RimError
from rim_eval.files import whole_file
from rim_eval.generation import INJECTED_KEY, REPLIES_KEY, Generation
from rim_eval.judging import Grader, counted
from rim_eval.patterns.monitor import Monitor, Part, read_patterns
from rim_eval.patterns.rows import (
    InjectionRow,
    LogRow,
    PatternRow,
    ReplyKey,
    note_findings,
    reply_of,
    rows_of_log,
    rows_of_metadata,
)
from rim_eval.progress import Progress
from rim_eval.replies import case_of
from rim_eval.types import MODES


def read_sample_file(
    path: Path,
    monitor: Monitor,
    parts: Sequence[Part],
    grader: Grader | None,
    target: Path,
    progress: Progress | None = None,
) -> list[PatternRow]:
    """Let a monitor read every reply of a sample file, and write the file with the labels added.

    Earlier rows of other monitors are kept; the observations' `patterns` column takes the newest
    trace findings.

    Returns the new rows. `target`, where the file is written, may be `path` itself; `progress` counts samples.

    Raises:
        RimError: The file is not of a rim task.
    """
    samples = list(observations.sample_lines(path))
    if not all({"generation", "observation"} <= set(one.get("record") or ()) for one in samples):
        raise RimError(
            f"{path}: not samples of a rim task. Give sample files of `rim_...` tasks (samples_rim_*.jsonl)."
        )

    async def read(sample: dict[str, Any]) -> list[PatternRow]:
        observation = sample["record"]["observation"]
        reply = Generation.model_validate(sample["record"]["generation"])
        case = case_of(sample["doc"], reply)
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
        work = (counted(read(sample), progress) for sample in samples)
        return list(chain.from_iterable(await asyncio.gather(*work)))

    if progress is not None:
        progress.expect(len(samples), "samples")
    rows = asyncio.run(read_all())
    with whole_file(target) as partial, partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    return rows


class _Log(NamedTuple, Generic[LogRow]):
    source: str
    """The log's path, with its name as `NAME=PATH`."""
    run: observations.Run
    rows: Sequence[LogRow]

    @property
    def group(self) -> str:
        """Id of the run, shared by a log, its retries and its judged copies."""
        return self.run.group or self.run.id


def read_rows(
    sources: Iterable[str | Path], row_type: type[LogRow]
) -> tuple[list[LogRow], tuple[str, ...]]:
    """Read the rows of logs, one log at a time, so that one is in memory beside the rows.

    Of a run and its retries the latest log counts, and what copies of a log share counts once.

    Args:
        sources: Inspect logs, sample files, folders; `NAME=PATH` gives the rows of that path the
            model name NAME.
        row_type: `InjectionRow` reads the logs of injection runs, `PatternRow` the others.

    Returns:
        The rows, in an order that does not depend on that of the logs; and the logs that were read.

    Raises:
        RimError: A log cannot be read, one name was given to the logs of several models, one run
            has two names, two runs hold the same replies under one model's name, or copies of one
            run hold different readings by one monitor.
    """
    models: dict[str, set[str]] = defaultdict(set)
    logs: list[_Log[LogRow]] = []
    for label, path in sorted(observations.log_files(sources, observations.LOGS), key=str):
        run, rows, injected = _rows_of_file(path, row_type)
        if injected is not issubclass(row_type, InjectionRow):
            continue
        if label is not None:
            models[label].add(run.model)
            run = run.model_copy(update={"model": label})
            rows = [row.model_copy(update={"model": label}) for row in rows]
        logs.append(_Log(path if label is None else f"{label}={path}", run, rows))
    for label, named in models.items():
        observations.refuse_several_models(label, named)
    observations.refuse_two_names((log.source, log.group, log.run.model) for log in logs)
    latest = observations.latest_runs(log.run for log in logs)
    once = _each_once([log for log in logs if log.run in latest])
    return sorted(once, key=_order), tuple(log.source for log in logs)


def _order(row: LogRow) -> tuple[str | int, ...]:
    """Sorts rows by model, set and mode, think before no-think."""
    return (row.model, row.dataset, row.kind, MODES.index(row.mode), row.model_dump_json())


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


def _each_once(logs: Sequence[_Log[LogRow]]) -> list[LogRow]:
    """Rows of all logs; what copies of a log share counts once."""
    run_of: dict[ReplyKey, _Log[LogRow]] = {}
    first: dict[Hashable, tuple[LogRow, str]] = {}
    for log in logs:
        replies = set(map(reply_of, log.rows))
        shared = [key for key in replies if run_of.setdefault(key, log).group != log.group]
        if shared:
            one, two = (observations.label_of(each.source)[1] for each in (run_of[shared[0]], log))
            models = ", ".join(sorted({f"{model} on {dataset}" for model, dataset, *_ in shared}))
            ids = ", ".join(sorted({prompt_id for _, _, prompt_id, *_ in shared})[:3])
            raise RimError(
                f"{len(shared)} replies of {models} ({ids}) stand in 2 runs: {one}, {two}. Where these are several "
                f"models or checkpoints, name them apart: name1={one} name2={two}. Where they are runs of one "
                "model, give one of them."
            )
        for row in log.rows:
            other, source = first.setdefault(row.reading, (row, log.source))
            if other != row:
                raise RimError(
                    f"{row.prompt_id} of {row.dataset} ({row.model}) was read twice, with "
                    f"different results: in {source} and {log.source}. Give the one whose reading counts."
                )
    return [row for row, _ in first.values()]


def read_runs(sources: Iterable[str | Path]) -> tuple[list[PatternRow], observations.Table]:
    """Read what monitors found in logs, and the observations of the same runs by every judge.

    Injection logs are ignored; sources are as `read_rows` takes them.

    Raises:
        RimError: `read_rows` raises it, no monitor has read any log, or runs have different settings.
    """
    rows, logs = read_rows(sources, PatternRow)
    if not rows:
        raise RimError(
            "No monitor has read these logs yet: run `rim-eval patterns run LOGS --grader MODEL` first."
        )
    table = observations.read_observations(logs)
    for problem in observations.check(table):
        if problem.kind == "mismatch":
            raise RimError(f"{problem.says}: {', '.join(problem.ids[:3])}.")
    return rows, table
