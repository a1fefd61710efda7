"""Sample files: what a task leaves in them of each reply, and judging the replies afterwards."""

import asyncio
import json
import shutil
from collections.abc import Container, Mapping, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint, refuse_existing
from rim_eval.files import whole_file
from rim_eval.generation import Generation
from rim_eval.judging import Grader, Judge, counted, resuming
from rim_eval.observations import Observation, results_file, sample_lines
from rim_eval.progress import Progress
from rim_eval.replies import ReplyVerdict, judge_reply, observe
from rim_eval.types import KIND_NAMES, FrozenModel, PromptKind

_CONCURRENT: Final = 64
"""Replies that are judged at once; the grader's own limit of connections holds below it."""


class ReplyRecord(FrozenModel):
    """One reply: trace and answer apart, and what was observed of it."""

    generation: Generation
    observation: Observation
    judge_replies: tuple[str, ...] = ()
    """The grader's raw replies, when a grader judged."""
    judge_votes: tuple[dict[str, Any], ...] = ()
    """Each grader's verdict, when several voted."""


def record(
    doc: Mapping[str, Any], model: str, reply: Generation, verdict: ReplyVerdict
) -> ReplyRecord:
    """What a sample file keeps of one reply.

    Args:
        doc: The document, as `load_documents` made it.
        model: The evaluated model's name.
        reply: The reply.
        verdict: Its verdict, or why there is none.
    """
    return ReplyRecord(
        generation=reply,
        observation=observe(reply, verdict, doc, model=model, prompt_id=doc["id"]),
        judge_replies=verdict.replies,
        judge_votes=verdict.votes,
    )


def metrics(record: ReplyRecord, rates: Container[str]) -> dict[str, Any]:
    """What a sample shows of a record: lm-eval's metrics, and the record itself.

    Args:
        record: The record.
        rates: Names of the rates that the task reports; NaN where the record has no such verdict.
    """
    row = record.observation
    scored = row.verdict is not None
    event = {KIND_NAMES[row.kind].rate: float(bool(row.verdict))} if scored else {}
    reported = (names.rate for names in KIND_NAMES.values() if names.rate in rates)
    return {rate: event.get(rate, nan) for rate in reported} | {
        "scored": float(scored),
        "trace_present": float(row.adopted),
        "trace_closed": float(row.adopted and row.trace_closed is True),
        "record": record.model_dump(mode="json", exclude_defaults=True),
    }


def rate(values: Sequence[float]) -> float:
    """Share of events among the values that are not NaN, 0 to 1; NaN when there is none.

    lm-eval's own `nanmean` gives the same, but lm-eval then draws 100,000 bootstrap samples for an
    interval that ignores pairs: minutes a task.
    """
    scored = [value for value in values if not isnan(value)]
    return sum(scored) / len(scored) if scored else nan


def read_record(path: Path, sample: dict[str, Any]) -> ReplyRecord:
    """What a rim task left in one sample.

    Args:
        path: The sample file, for the message.
        sample: One line of it.

    Raises:
        RimError: Nothing, or what another version of rim_eval left.
    """
    try:
        return ReplyRecord.model_validate(sample.get("record"))
    except ValidationError as error:
        raise RimError(
            f"{path}: not a sample file of a rim task of this version ({first_complaint(error, 'record')})."
        ) from None


def kinds_in_samples(path: Path) -> set[PromptKind]:
    """The kinds of prompts in a sample file of a rim task.

    Raises:
        RimError: It is no such file.
    """
    return {read_record(path, sample).observation.kind for sample in sample_lines(path)}


def judge_samples(
    path: Path,
    judge: Judge,
    graders: Sequence[Grader] = (),
    *,
    target: Path,
    progress: Progress | None = None,
) -> list[ReplyRecord]:
    """Judge all replies of a sample file of a rim task and write them with their verdicts.

    The grader's own settings say how many calls run at once and how failures are retried. The same call
    continues what an earlier one left unfinished (`resuming`).

    Args:
        path: A sample file (`samples_rim_*.jsonl`); it stays as it is.
        judge: The judge, set to see what it is to see.
        graders: Models to ask; several vote, none is needed by an offline judge.
        target: The new file.
        progress: Where replies are counted.

    Returns:
        The records in it, with this judge's verdicts.

    Raises:
        RimError: The file is not of a rim task or holds prompts that the judge does not read, or
            there is a finished file of this judge already.
    """
    samples = list(sample_lines(path))
    records = [read_record(path, sample) for sample in samples]
    for kind in {each.observation.kind for each in records}:
        judge.rule(kind)
    refuse_existing(target)
    docs = [sample["doc"] for sample in samples]
    with resuming(target, judge.sha256, judge.sees, list(map(str, graders))):
        if progress is not None:
            progress.expect(len(records))
        judged = asyncio.run(_judge_all(docs, records, judge, graders, progress))
        lines = [
            json.dumps(sample | metrics(new, sample), ensure_ascii=False) + "\n"
            for sample, new in zip(samples, judged, strict=True)
        ]
        _copy_results(path, target)
        with whole_file(target) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
    return judged


def _copy_results(path: Path, target: Path) -> None:
    """Keep what the run was beside its judged copy: a copy in another folder would know no weights.

    It comes before the judged copy, after which the same command is refused as done.
    """
    results = results_file(path)
    if results is not None and not target.with_name(results.name).exists():
        with whole_file(target.with_name(results.name)) as partial:
            shutil.copyfile(results, partial)


async def _judge_all(
    docs: Sequence[Mapping[str, Any]],
    records: Sequence[ReplyRecord],
    judge: Judge,
    graders: Sequence[Grader],
    progress: Progress | None,
) -> list[ReplyRecord]:
    slots = asyncio.Semaphore(_CONCURRENT)

    async def judge_one(doc: Mapping[str, Any], old: ReplyRecord) -> ReplyRecord:
        async with slots:
            work = judge_reply(judge, doc, old.generation, graders)
            verdict = await counted(work, progress)
        return record(doc, old.observation.model, old.generation, verdict)

    return await asyncio.gather(*map(judge_one, docs, records))
