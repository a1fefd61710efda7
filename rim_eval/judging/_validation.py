"""Measure a judge against people, per source model and mode, and keep the figures beside its file."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, ValidationError

from rim_eval._version import __version__
from rim_eval.errors import RimError, first_complaint
from rim_eval.files import read_json_object, write_whole
from rim_eval.judging._case import Event, Judgement, Sees
from rim_eval.judging._drafts import counted
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge
from rim_eval.judging._labelled import LabelledReply, ReplyMode
from rim_eval.progress import Progress
from rim_eval.prompt_sets import FileRecord
from rim_eval.statistics.agreement import Agreement, Pair, agreement
from rim_eval.types import FiniteModel, FrozenModel, Name, PromptKind


class MeasuredGroup(FiniteModel):
    """Labelled replies of one model in one mode, and whose verdicts on them were compared with the labels."""

    set: Name
    model: Name
    mode: ReplyMode
    event: Event
    grader: str | None
    prompts: dict[PromptKind, NonNegativeInt] = Field(default={})
    """Replies by what their prompts ask for; empty when that is not known."""
    left_out: bool = False
    """Whether the judge was trained on others but not on this model: figures for further models rest on these."""


class Measurement(MeasuredGroup):
    """How a judge agreed with people on one group of replies, and with what exactly it was measured."""

    judge_version: int
    judge_sha256: str
    sees: Sees
    rim_eval: str
    files: tuple[FileRecord, ...]
    agreement: Agreement

    @property
    def key(self) -> tuple[object, ...]:
        """What a new measurement of the same replaces."""
        group = (self.set, self.model, self.mode, self.event)
        return (*group, self.grader, self.sees, self.left_out)


class Validation(FrozenModel):
    """Everything that was measured of one judge: `<judge>.validation.json` beside its file."""

    schema_version: Literal[2] = 2
    judge: str
    measurements: tuple[Measurement, ...] = ()
    path: Path | None = Field(default=None, exclude=True)
    """The file that it was read from."""


async def measure(
    judge: Judge,
    set_name: str,
    replies: Sequence[LabelledReply],
    grader: Grader | Sequence[Grader] | None = None,
    progress: Progress | None = None,
) -> tuple[Measurement, ...]:
    """Judge every labelled reply and compare with the people's labels.

    Args:
        judge: The judge, seeing what it is to see.
        set_name: Name of the labelled set.
        replies: The labelled replies.
        grader: The model to ask, or several that vote.
        progress: Where replies are counted.

    Returns:
        One entry a model, mode and event; there is no pooled figure, which would hide where a judge errs.

    Raises:
        RimError: The judge has no verdict for this kind of prompt, or needs a grader.
    """
    for kind in {reply.case.kind for reply in replies}:
        judge.rule(kind)
    # Inspect bounds how many are judged at once.
    work = (counted(judge.judge(reply.case, grader), progress) for reply in replies)
    judgements = await asyncio.gather(*work)
    groups = defaultdict[tuple[str, ReplyMode, Event], list[tuple[LabelledReply, Judgement]]](list)
    for reply, judgement in zip(replies, judgements, strict=True):
        groups[reply.model, reply.mode, judgement.event].append((reply, judgement))
    return tuple(
        Measurement(
            set=set_name,
            model=model,
            mode=mode,
            event=event,
            prompts=Counter(reply.prompt_kind for reply, _ in group),
            judge_version=judge.spec.version,
            judge_sha256=judge.sha256,
            grader=judge.provenance(grader).grader,
            sees=judge.sees,
            rim_eval=__version__,
            files=tuple(dict.fromkeys(reply.file for reply, _ in group)),
            agreement=agreement(
                [Pair(r.human, j.verdict, j.reason, r.label, j.label) for r, j in group]
            ),
        )
        for (model, mode, event), group in groups.items()
    )


def validation_path(judge: Judge) -> Path:
    """Where a judge's figures are kept: `<judge>.validation.json` beside its file."""
    assert judge.path is not None  # a loaded judge has one
    return judge.path.with_suffix(".validation.json")


def save_measurements(
    judge: Judge, measurements: Sequence[Measurement], path: Path
) -> list[Measurement]:
    """Add measurements to the judge's file, in place of earlier ones of the same.

    Args:
        judge: The judge that was measured.
        measurements: The figures.
        path: Where to write.

    Returns:
        The measurements that were replaced.

    Raises:
        RimError: The file cannot be written, or what is there is of another shape.
    """
    by_key = {
        one.key: one for one in (read_validation(path).measurements if path.is_file() else ())
    }
    replaced = [by_key.pop(one.key) for one in measurements if one.key in by_key]
    whole = Validation(judge=judge.name, measurements=(*by_key.values(), *measurements))
    write_whole({path: whole.model_dump_json(indent=1) + "\n"})
    return replaced


def read_validation(path: Path) -> Validation:
    """Read what `rim-eval judge validate` wrote.

    Raises:
        RimError: The file cannot be read, or is not of this shape.
    """
    content = read_json_object(path)
    try:
        return Validation.model_validate(content | {"path": path})
    except ValidationError as error:
        raise RimError(
            f"{path} is no judge validation file of this version: {first_complaint(error, 'the file')}. "
            "`rim-eval judge validate JUDGE` writes them: measure the judge again."
        ) from None


def load_validation(judge: Judge) -> Validation | None:
    """What was measured of a judge, from the file beside it; None when nothing was.

    Measurements of another version of the judge file are left out: they are of another instrument.

    Raises:
        RimError: The file is there but is not of this shape.
    """
    path = validation_path(judge)
    if not path.is_file():
        return None
    whole = read_validation(path)
    same = tuple(one for one in whole.measurements if one.judge_sha256 == judge.sha256)
    return whole.model_copy(update={"measurements": same}) if same else None
