"""Measuring a judge against people, per source model and mode."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from rim_eval import __version__
from rim_eval.judging._agreement import Agreement, Pair, agreement
from rim_eval.judging._case import Event, Judgement, Sees
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge
from rim_eval.judging._labelled import LabelledFile, LabelledReply

__all__ = [
    "Group",
    "Measurement",
    "Validation",
    "measure",
]

_AT_ONCE: Final = 64
_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Group(BaseModel):
    """The figures on the replies of one model in one mode."""

    model_config = _FROZEN

    model: str
    mode: str
    """`think`, `no_think`, or `unknown`."""
    event: Event
    agreement: Agreement


class Measurement(BaseModel):
    """One judge with one grader on one labelled set."""

    model_config = _FROZEN

    set: str
    judge_version: int
    judge_sha256: str
    grader: str | None
    sees: Sees
    rim_eval: str
    files: tuple[LabelledFile, ...]
    groups: tuple[Group, ...]
    """One entry a model, mode and event; there is no pooled figure without them."""
    pooled: Agreement | None = None
    """Over all groups, when there are several and all are of one event."""


class Validation(BaseModel):
    """Everything that was measured of one judge: `<judge>.validation.json` beside its file."""

    model_config = _FROZEN

    schema_version: int = 1
    judge: str
    measurements: tuple[Measurement, ...] = ()


async def measure(
    judge: Judge,
    set_name: str,
    replies: Sequence[LabelledReply],
    files: Sequence[LabelledFile],
    grader: Grader | Sequence[Grader] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Measurement:
    """Judge every labelled reply and compare with the people's labels.

    Args:
        judge: The judge, seeing what it is to see.
        set_name: Name of the labelled set.
        replies: The labelled replies.
        files: The files that they come from.
        grader: The model to ask, or several that vote.
        progress: Called after each reply.

    Raises:
        RimError: The judge has no verdict for this kind of prompt, or needs a grader.
    """
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(reply: LabelledReply) -> Judgement:
        async with free:
            judgement = await judge.judge(reply.case, grader)
        progress()
        return judgement

    for kind in {reply.case.kind for reply in replies}:
        judge.event(kind)
    judgements = await asyncio.gather(*(one(reply) for reply in replies))
    found = list(zip(replies, judgements, strict=True))
    groups = _groups(found)
    one_event = len({group.event for group in groups}) == 1
    return Measurement(
        set=set_name,
        judge_version=judge.spec.version,
        judge_sha256=judge.sha256,
        grader=judge.provenance(grader).grader,
        sees=judge.sees,
        rim_eval=__version__,
        files=tuple(files),
        groups=groups,
        pooled=agreement(_pairs(found)) if len(groups) > 1 and one_event else None,
    )


def _groups(found: Sequence[tuple[LabelledReply, Judgement]]) -> tuple[Group, ...]:
    keys = dict.fromkeys((reply.model, reply.mode, judgement.event) for reply, judgement in found)
    return tuple(
        Group(
            model=model,
            mode=mode,
            event=event,
            agreement=agreement(
                _pairs(
                    [(r, j) for r, j in found if (r.model, r.mode, j.event) == (model, mode, event)]
                )
            ),
        )
        for model, mode, event in keys
    )


def _pairs(found: Sequence[tuple[LabelledReply, Judgement]]) -> list[Pair]:
    return [Pair(r.human, j.verdict, j.reason, r.label, j.label) for r, j in found]
