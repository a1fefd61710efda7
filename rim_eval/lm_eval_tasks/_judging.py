"""Judges the replies in a sample file: afterwards, side by side, in a file of its own."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint, refuse_existing
from rim_eval.judging import Judge
from rim_eval.lm_eval_tasks._record import (
    Record,
    case_of,
    judged,
    metrics,
    must_not_judge,
    unjudged,
)
from rim_eval.observations import Observation, results_file, sample_lines

if TYPE_CHECKING:
    from rim_eval.judging import Grader

__all__ = ["judge_samples", "read_record"]

_AT_ONCE: Final = 64
"""Replies that are judged at once; the grader's own limit of connections holds below it."""


def judge_samples(
    path: Path, judge: Judge, graders: Sequence["Grader"] = (), *, target: Path
) -> list[Observation]:
    """Judge all replies of a sample file of a rim task and write them with their verdicts.

    The grader's own settings say how many calls run at once and how failures are retried. Verdicts are
    written as they come: the same call continues a file that an earlier one left unfinished.

    Args:
        path: A sample file (`samples_rim_*.jsonl`); it stays as it is.
        judge: The judge, set to see what it is to see.
        graders: Models to ask; several vote, none is needed by an offline judge.
        target: The new file.

    Returns:
        The observations in it, with this judge's verdicts.

    Raises:
        RimError: The file is not of a rim task or holds prompts that the judge does not read, or
            there is a finished file of this judge already.
    """
    samples = list(sample_lines(path))
    records = [read_record(path, sample) for sample in samples]
    for kind in {record.observation.kind for record in records}:
        judge.event(kind)
    refuse_existing(target)
    new = asyncio.run(_judge_all(samples, records, judge, graders, target))
    _bring_results(path, target)
    return [record.observation for record in new]


def read_record(path: Path, sample: dict[str, Any]) -> Record:
    """What a rim task left in one sample.

    Raises:
        RimError: Nothing, or what another version of rim_eval left.
    """
    try:
        return Record.model_validate(sample.get("record"))
    except ValidationError as error:
        raise RimError(
            f"{path}: not a sample file of a rim task of this version ({first_complaint(error, 'record')})."
        ) from None


async def _judge_all(
    samples: list[dict[str, Any]],
    records: list[Record],
    judge: Judge,
    graders: Sequence["Grader"],
    target: Path,
) -> list[Record]:
    """All verdicts, each kept in a file of drafts at once, so that an interrupted run loses none."""
    drafts = _Drafts(target, judge, graders)
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(sample: dict[str, Any], record: Record) -> Record:
        known = drafts.known.get(record.observation.prompt_id)
        if known is not None and known.generation == record.generation:
            return known
        async with free:
            new = await _judge_one(sample["doc"], record, judge, graders)
        drafts.keep(new)
        return new

    work = (one(sample, record) for sample, record in zip(samples, records, strict=True))
    new = await asyncio.gather(*work)
    _write(target, samples, new)
    drafts.done()
    return new


async def _judge_one(
    doc: dict[str, Any], record: Record, judge: Judge, graders: Sequence["Grader"]
) -> Record:
    reply, model, asked = record.generation, record.observation.model, _one_or_all(graders)
    reason = must_not_judge(judge, reply)
    if reason is not None:
        return unjudged(doc, model, reply, reason, judge.provenance(asked))
    return judged(doc, model, reply, await judge.judge(case_of(doc, reply), asked))


def _one_or_all(graders: Sequence["Grader"]) -> "Grader | Sequence[Grader] | None":
    return graders if len(graders) > 1 else next(iter(graders), None)


class _Drafts:
    """Verdicts of a run that has not finished, by prompt; each judge, input and grader has a file of its own."""

    def __init__(self, target: Path, judge: Judge, graders: Sequence["Grader"]) -> None:
        self._head = json.dumps([judge.sha256, judge.sees, [str(grader) for grader in graders]])
        instrument = hashlib.sha256(self._head.encode()).hexdigest()[:8]
        self._path = path = target.with_suffix(f".{instrument}.part")
        self.known = self._read()
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [self._head, *(record.model_dump_json() for record in self.known.values())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, Record]:
        if not self._path.is_file():
            return {}
        head, *lines = self._path.read_text(encoding="utf-8").splitlines() or [""]
        if head != self._head:
            return {}
        found = [record for line in lines if (record := _whole(line)) is not None]
        return {record.observation.prompt_id: record for record in found}

    def keep(self, record: Record) -> None:
        """Write one verdict, unless its judge failed: that one is asked again."""
        if record.observation.reason == "judge_failed":
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json() + "\n")

    def done(self) -> None:
        self._path.unlink()


def _whole(line: str) -> Record | None:
    """A draft's line; None for the last one of a process that ended while writing it."""
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None


def _write(target: Path, samples: list[dict[str, Any]], records: list[Record]) -> None:
    lines = [
        json.dumps(sample | metrics(record, sample), ensure_ascii=False)
        for sample, record in zip(samples, records, strict=True)
    ]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _bring_results(path: Path, target: Path) -> None:
    """Keep what the run was beside its judged copy: a copy in another folder would know no weights."""
    results = results_file(path)
    if results is not None and not target.with_name(results.name).exists():
        shutil.copyfile(results, target.with_name(results.name))
