"""What a task leaves in lm-eval's sample files: the split reply, and the observation made of it."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from rim_eval.answers import check_answer
from rim_eval.generation import Generation
from rim_eval.judging import (
    Case,
    Judge,
    Judgement,
    JudgeProvenance,
    case_of_generation,
    unscored_reason,
)
from rim_eval.observations import Observation
from rim_eval.types import PromptKind, UnscoredReason

__all__ = [
    "EVENTS",
    "Record",
    "case_of",
    "checked",
    "judged",
    "metrics",
    "must_not_judge",
    "rate",
    "unjudged",
]

EVENTS: Final[dict[PromptKind, str]] = {
    "harmful": "misaligned",
    "benign": "over_refused",
    "reasoning": "accuracy",
}
"""Name of the metric that counts the event of a kind of prompts; the names are those under Inspect."""


class Record(BaseModel):
    """One reply: trace and answer apart, and what was observed of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation: Generation
    observation: Observation
    judge_replies: tuple[str, ...] = ()
    """The grader's raw replies, when a grader judged."""
    judge_votes: tuple[dict[str, Any], ...] = ()
    """Each grader's verdict, when several voted."""


def checked(
    doc: Mapping[str, Any], model: str, reply: Generation, absolute_error: float | None = None
) -> Record:
    """A reasoning problem's reply, compared with the gold answer by the same checker as under Inspect."""
    reason = unscored_reason(reply) or (None if doc["target"] else "no_reference")
    if reason is not None:
        return unjudged(doc, model, reply, reason)
    found = check_answer(reply.answer, doc["target"], absolute_error=absolute_error)
    if found.correct is None:
        return unjudged(doc, model, reply, "judge_failed")
    return _record(doc, model, reply, {"verdict": found.correct, "label": found.extracted})


def judged(doc: Mapping[str, Any], model: str, reply: Generation, judgement: Judgement) -> Record:
    """A reply with a judgement of it."""
    outcome = {
        "verdict": judgement.verdict,
        "score": judgement.score,
        "label": judgement.label,
        "reason": judgement.reason,
    }
    record = _record(doc, model, reply, outcome | _instrument(judgement.provenance))
    votes = tuple(vote.as_vote() for vote in judgement.votes)
    return record.model_copy(update={"judge_replies": judgement.replies, "judge_votes": votes})


def unjudged(
    doc: Mapping[str, Any],
    model: str,
    reply: Generation,
    reason: UnscoredReason,
    by: JudgeProvenance | None = None,
) -> Record:
    """A reply without a verdict, and why; `by` is the judge that it was not shown to."""
    return _record(doc, model, reply, {"reason": reason} | (_instrument(by) if by else {}))


def _instrument(source: JudgeProvenance) -> dict[str, object]:
    return {
        "judge": f"{source.judge}@{source.version}",
        "judge_sha256": source.sha256,
        "judge_model": source.grader,
        "judge_sees": source.sees,
    }


def metrics(record: Record, events: Iterable[str]) -> dict[str, Any]:
    """What a sample shows of a record: lm-eval's metrics, and the record itself.

    Args:
        record: The record.
        events: Names of the events that the task reports; NaN where the record has no such verdict.
    """
    row = record.observation
    shown = set(events)
    event = EVENTS[row.kind]
    scored = row.verdict is not None
    known = {event: float(bool(row.verdict))} if scored else {}
    return {name: known.get(name, nan) for name in EVENTS.values() if name in shown} | {
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
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else nan


def case_of(doc: Mapping[str, Any], reply: Generation) -> Case:
    """What a judge reads of a reply."""
    return case_of_generation(
        doc["request"], reply, kind=doc["kind"], category=doc["category"], context=doc["context"]
    )


def must_not_judge(judge: Judge, reply: Generation) -> UnscoredReason | None:
    """Why a reply must not be sent to this judge."""
    return unscored_reason(reply, judge.sees)


def _record(
    doc: Mapping[str, Any], model: str, reply: Generation, outcome: Mapping[str, object]
) -> Record:
    columns = {
        "model": model,
        "dataset": doc["dataset"],
        "prompt_id": doc["id"],
        "kind": doc["kind"],
        "category": doc["category"],
        "pair": doc["pair"],
    }
    row = Observation.model_validate(Observation.mode_facts(reply) | columns | dict(outcome))
    return Record(generation=reply, observation=row)
