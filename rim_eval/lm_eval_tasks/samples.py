"""Sample files: what a task leaves in them of each reply, and judging the replies afterwards."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from math import isnan, nan
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint, refuse_existing
from rim_eval.generation import Generation
from rim_eval.judging import Grader, Judge
from rim_eval.observations import Observation, results_file, sample_lines
from rim_eval.replies import ReplyVerdict, judge_reply, observe
from rim_eval.types import KIND_NAMES, FrozenModel

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


def judge_samples(
    path: Path, judge: Judge, graders: Sequence[Grader] = (), *, target: Path
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
    for kind in {each.observation.kind for each in records}:
        judge.event(kind)
    refuse_existing(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Each judge, input and grader has drafts of its own.
    instrument = json.dumps([judge.sha256, judge.sees, [str(grader) for grader in graders]])
    drafts = target.with_suffix(f".{hashlib.sha256(instrument.encode()).hexdigest()[:16]}.part")
    docs = [sample["doc"] for sample in samples]
    judged = asyncio.run(_judge_all(docs, records, judge, graders, drafts))
    lines = [
        json.dumps(sample | metrics(new, sample), ensure_ascii=False) + "\n"
        for sample, new in zip(samples, judged, strict=True)
    ]
    target.write_text("".join(lines), encoding="utf-8")
    drafts.unlink()
    # Keep what the run was beside its judged copy: a copy in another folder would know no weights.
    results = results_file(path)
    if results is not None and not target.with_name(results.name).exists():
        shutil.copyfile(results, target.with_name(results.name))
    return [each.observation for each in judged]


async def _judge_all(
    docs: Sequence[Mapping[str, Any]],
    records: Sequence[ReplyRecord],
    judge: Judge,
    graders: Sequence[Grader],
    drafts: Path,
) -> list[ReplyRecord]:
    """All verdicts, each written to `drafts` at once, so that an interrupted run loses none."""
    drafts.touch()
    judged: dict[str, ReplyRecord] = {}
    for line in drafts.read_bytes().split(b"\n"):
        with suppress(ValidationError):  # a line that was not written to its end
            draft = ReplyRecord.model_validate_json(line)
            judged[draft.observation.prompt_id] = draft
    slots = asyncio.Semaphore(_CONCURRENT)

    async def judge_one(doc: Mapping[str, Any], old: ReplyRecord) -> ReplyRecord:
        draft = judged.get(old.observation.prompt_id)
        if draft is not None and draft.generation == old.generation:
            return draft
        async with slots:
            verdict = await judge_reply(judge, doc, old.generation, graders)
        new = record(doc, old.observation.model, old.generation, verdict)
        if verdict.reason != "judge_failed":  # the next call asks that one again
            with drafts.open("a", encoding="utf-8") as file:
                # The line before may be one of a process that ended while writing it.
                file.write("\n" + new.model_dump_json())
        return new

    return await asyncio.gather(*map(judge_one, docs, records))
