"""Sample files: what a task leaves in them of each reply, and judging the replies afterwards."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Container, Mapping, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rim_eval.errors import RimError, first_complaint, refuse_existing
from rim_eval.generation import Generation
from rim_eval.judging import Case, Grader, Judge, case_of_generation
from rim_eval.observations import Observation, results_file, sample_lines
from rim_eval.replies import Outcome, judge_reply, observe
from rim_eval.types import KIND_NAMES

_CONCURRENT: Final = 64
"""Replies that are judged at once; the grader's own limit of connections holds below it."""


class Record(BaseModel):
    """One reply: trace and answer apart, and what was observed of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: Generation
    observation: Observation
    judge_replies: tuple[str, ...] = ()
    """The grader's raw replies, when a grader judged."""
    judge_votes: tuple[dict[str, Any], ...] = ()
    """Each grader's verdict, when several voted."""


def record(doc: Mapping[str, Any], model: str, reply: Generation, outcome: Outcome) -> Record:
    """What a sample file keeps of one reply.

    Args:
        doc: The document, as `load_documents` made it.
        model: The evaluated model's name.
        reply: The reply.
        outcome: Its verdict, or why there is none.
    """
    columns = {name: doc[name] for name in ("dataset", "kind", "category", "pair")}
    return Record(
        generation=reply,
        observation=observe(reply, outcome, model=model, prompt_id=doc["id"], **columns),
        judge_replies=outcome.replies,
        judge_votes=outcome.votes,
    )


def case_of(doc: Mapping[str, Any], reply: Generation) -> Case:
    """What a judge reads of a reply."""
    return case_of_generation(
        doc["request"], reply, kind=doc["kind"], category=doc["category"], context=doc["context"]
    )


def metrics(record: Record, rates: Container[str]) -> dict[str, Any]:
    """What a sample shows of a record: lm-eval's metrics, and the record itself.

    Args:
        record: The record.
        rates: Names of the rates that the task reports; NaN where the record has no such verdict.
    """
    row = record.observation
    scored = row.verdict is not None
    event = {KIND_NAMES[row.kind].rate: float(bool(row.verdict))} if scored else {}
    return {
        name: event.get(name, nan) for _, _, name, _ in KIND_NAMES.values() if name in rates
    } | {
        "scored": float(scored),
        "trace_present": float(row.adopted),
        "trace_closed": float(row.adopted and row.trace_closed is True),
        "record": record.model_dump(mode="json", exclude_defaults=True),
    }


def rate(values: Sequence[float]) -> float:
    """Share of events among the values that are not NaN, 0 to 1; NaN when there is none.

    lm-eval's own `nanmean` says the same, but lm-eval then draws 100,000 bootstrap samples for an
    interval that ignores pairs: minutes a task.
    """
    scored = [value for value in values if not isnan(value)]
    return sum(scored) / len(scored) if scored else nan


def read_record(path: Path, sample: dict[str, Any]) -> Record:
    """What a rim task left in one sample.

    Args:
        path: The sample file, for the message.
        sample: One line of it.

    Raises:
        RimError: Nothing, or what another version of rim_eval left.
    """
    try:
        return Record.model_validate(sample.get("record"))
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
    judged = asyncio.run(_judge_all(samples, records, judge, graders, target))
    # Keep what the run was beside its judged copy: a copy in another folder would know no weights.
    results = results_file(path)
    if results is not None and not target.with_name(results.name).exists():
        shutil.copyfile(results, target.with_name(results.name))
    return [each.observation for each in judged]


async def _judge_all(
    samples: list[dict[str, Any]],
    records: list[Record],
    judge: Judge,
    graders: Sequence[Grader],
    target: Path,
) -> list[Record]:
    """All verdicts, each written to a file of drafts at once, so that an interrupted run loses none."""
    drafts = _Drafts(target, judge, graders)
    slots = asyncio.Semaphore(_CONCURRENT)

    async def judge_one(doc: dict[str, Any], old: Record) -> Record:
        draft = drafts.records.get(old.observation.prompt_id)
        if draft is not None and draft.generation == old.generation:
            return draft
        reply = old.generation
        async with slots:
            outcome = await judge_reply(judge, case_of(doc, reply), reply, graders)
        new = record(doc, old.observation.model, reply, outcome)
        drafts.add(new)
        return new

    pairs = zip(samples, records, strict=True)
    judged = await asyncio.gather(*(judge_one(sample["doc"], old) for sample, old in pairs))
    lines = [
        json.dumps(sample | metrics(new, sample), ensure_ascii=False)
        for sample, new in zip(samples, judged, strict=True)
    ]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    drafts.remove()
    return judged


class _Drafts:
    """Verdicts of a run that has not finished, by prompt; each judge, input and grader has a file of its own."""

    def __init__(self, target: Path, judge: Judge, graders: Sequence[Grader]) -> None:
        self._head = json.dumps([judge.sha256, judge.sees, [str(grader) for grader in graders]])
        instrument = hashlib.sha256(self._head.encode()).hexdigest()[:8]
        self._path = target.with_suffix(f".{instrument}.part")
        self.records = self._read()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = [self._head, *(one.model_dump_json() for one in self.records.values())]
        self._path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, Record]:
        if not self._path.is_file():
            return {}
        head, *lines = self._path.read_text(encoding="utf-8").splitlines() or [""]
        if head != self._head:
            return {}
        drafts = [draft for line in lines if (draft := _whole(line)) is not None]
        return {draft.observation.prompt_id: draft for draft in drafts}

    def add(self, new: Record) -> None:
        """Write one verdict, unless its judge failed: that one is asked again."""
        if new.observation.reason == "judge_failed":
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(new.model_dump_json() + "\n")

    def remove(self) -> None:
        self._path.unlink()


def _whole(line: str) -> Record | None:
    """A draft's line; None for the last one of a process that ended while writing it."""
    try:
        return Record.model_validate_json(line)
    except ValidationError:
        return None
