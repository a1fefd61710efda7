"""Measuring a judge against people, and the small file in which the figures are kept."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from rim_eval import __version__
from rim_eval.errors import RimError, first_complaint
from rim_eval.judging._agreement import Agreement, Pair, agreement
from rim_eval.judging._case import Event, Judgement, Sees
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge
from rim_eval.judging._labelled import LabelledFile, LabelledReply

__all__ = [
    "Group",
    "Measurement",
    "Validation",
    "load_validation",
    "measure",
    "place_for",
    "save_measurement",
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


def load_validation(judge: Judge) -> Validation | None:
    """What was measured of a judge, from the file beside it; None when nothing was.

    Measurements of another version of the judge file are left out: they are of another instrument.

    Raises:
        RimError: The file is there but is not of this shape.
    """
    kept = _read(_beside(judge))
    if kept is None:
        return None
    same = tuple(m for m in kept.measurements if m.judge_sha256 == judge.sha256)
    return kept.model_copy(update={"measurements": same}) if same else None


def place_for(judge: Judge, path: Path | None = None) -> Path:
    """Where a judge's figures are kept; asked before the work, so that none is lost.

    Args:
        judge: The judge to be measured.
        path: Where to write; by default `<judge>.validation.json` beside the judge's file.

    Raises:
        RimError: The judge is no file, the folder is not there, or the file is of another judge.
    """
    path = path or _beside(judge)
    kept = _read(path)
    if kept is not None and kept.judge != judge.name:
        raise RimError(
            f"{path} is about the judge `{kept.judge}`, not `{judge.name}`. Choose another --out."
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder" if path.is_dir() else "in a folder that is not there"
        raise RimError(f"{path} is {what}. Name a file with --out, such as {judge.name}.json.")
    return path


def save_measurement(judge: Judge, measurement: Measurement, path: Path | None = None) -> Path:
    """Add a measurement to the judge's file, in place of one of the same set, grader and input.

    Args:
        judge: The judge that was measured.
        measurement: The figures.
        path: Where to write, as `place_for` takes it.

    Returns:
        The path written.

    Raises:
        RimError: The file cannot be written, or what is there is of another shape or judge.
    """
    path = place_for(judge, path)
    kept = _read(path) or Validation(judge=judge.name)
    others = tuple(m for m in kept.measurements if _key(m) != _key(measurement))
    text = kept.model_copy(update={"measurements": (*others, measurement)}).model_dump_json(
        indent=1
    )
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RimError(f"{path} cannot be written ({error.strerror}). Pass --out FILE.") from None
    return path


def _key(measurement: Measurement) -> tuple[str, str | None, str]:
    return measurement.set, measurement.grader, measurement.sees


def _beside(judge: Judge) -> Path:
    if judge.path is None:
        raise RimError(f"Judge `{judge.name}` is no file; say where its figures are kept.")
    return judge.path.with_suffix(".validation.json")


def _read(path: Path) -> Validation | None:
    if not path.is_file():
        return None
    try:
        return Validation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RimError(
            f"{path} is no validation file of a judge ({first_complaint(error, 'the file')}). "
            "Write it anew: rim-eval judge validate."
        ) from None
