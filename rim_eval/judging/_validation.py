"""Measure a judge against people, per source model and mode, and keep the figures beside its file."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from rim_eval._version import __version__
from rim_eval.errors import RimError, first_complaint
from rim_eval.files import write_whole
from rim_eval.judging._agreement import Agreement, Pair, agreement, pool
from rim_eval.judging._case import Event, Judgement, Sees
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge, judge_names, load_judge
from rim_eval.judging._labelled import LabelledFile, LabelledReply
from rim_eval.types import FrozenModel

_AT_ONCE: Final = 64


class Group(FrozenModel):
    """The figures on the replies of one model in one mode."""

    model: str
    mode: str
    """`think`, `no_think`, or `unknown`."""
    event: Event
    agreement: Agreement


class Measurement(FrozenModel):
    """One judge with one grader on one labelled set."""

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


class Validation(FrozenModel):
    """Everything that was measured of one judge: `<judge>.validation.json` beside its file."""

    schema_version: int = 1
    judge: str
    measurements: tuple[Measurement, ...] = ()


class ValidationFile(NamedTuple):
    """A judge's measured agreement with people, and the file in which it stands."""

    validation: Validation
    path: Path


def _pooled(groups: Sequence[Group]) -> Agreement | None:
    one_event = len({group.event for group in groups}) == 1
    return pool([group.agreement for group in groups]) if len(groups) > 1 and one_event else None


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
    slots = asyncio.Semaphore(_AT_ONCE)

    async def judge_one(reply: LabelledReply) -> Judgement:
        async with slots:
            judgement = await judge.judge(reply.case, grader)
        progress()
        return judgement

    for kind in {reply.case.kind for reply in replies}:
        judge.event(kind)
    judgements = await asyncio.gather(*map(judge_one, replies))
    pairs: dict[tuple[str, str, Event], list[Pair]] = {}
    for reply, judgement in zip(replies, judgements, strict=True):
        pair = Pair(reply.human, judgement.verdict, judgement.reason, reply.label, judgement.label)
        pairs.setdefault((reply.model, reply.mode, judgement.event), []).append(pair)
    groups = tuple(
        Group(model=model, mode=mode, event=event, agreement=agreement(group))
        for (model, mode, event), group in pairs.items()
    )
    return Measurement(
        set=set_name,
        judge_version=judge.spec.version,
        judge_sha256=judge.sha256,
        grader=judge.provenance(grader).grader,
        sees=judge.sees,
        rim_eval=__version__,
        files=tuple(files),
        groups=groups,
        pooled=_pooled(groups),
    )


def validation_target(judge: Judge, path: Path | None = None) -> Path:
    """Where a judge's figures will be written; checked before the work, so that none is lost.

    Args:
        judge: The judge to be measured.
        path: Where to write; by default `<judge>.validation.json` beside the judge's file.

    Raises:
        RimError: The judge is no file, the folder is not there, or the file is of another judge.
    """
    path = path or _default_path(judge)
    if path.is_file() and (other := read_validation(path).judge) != judge.name:
        raise RimError(
            f"{path} is about the judge `{other}`, not `{judge.name}`. Choose another --out."
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder" if path.is_dir() else "in a folder that is not there"
        raise RimError(f"{path} is {what}. Name a file with --out, such as {judge.name}.json.")
    return path


def _default_path(judge: Judge) -> Path:
    if judge.path is None:
        raise RimError(f"Judge `{judge.name}` is no file; say where its figures are kept.")
    return judge.path.with_suffix(".validation.json")


def save_measurement(judge: Judge, measurement: Measurement, path: Path) -> list[str]:
    """Add a measurement to the judge's file.

    Earlier figures of the same set, grader and input are replaced where the same source model was
    measured anew in the same mode; all else stays.

    Args:
        judge: The judge that was measured.
        measurement: The figures.
        path: Where to write, as `validation_target` returned it.

    Returns:
        What was replaced, then what stayed, a sentence each; nothing for a new file.

    Raises:
        RimError: The file cannot be written, or what is there is of another shape.
    """

    def key(one: Measurement, group: Group) -> tuple[str | None, ...]:
        return one.set, group.model, group.mode, group.event, one.grader, one.sees

    previous = read_validation(path) if path.is_file() else Validation(judge=judge.name)
    measured = {key(measurement, group) for group in measurement.groups}
    measurements: list[Measurement] = []
    remarks: dict[str, list[str]] = {"Replaced": [], "Kept as it was": []}
    for old in previous.measurements:
        for group in old.groups:
            by = f", grader {old.grader}" if old.grader else ""
            sentence = (
                f"{old.set}, {group.model}, {group.mode}, {group.event}{by}, sees {old.sees}, "
                f"judge file {old.judge_sha256[:8]}, n = {group.agreement.n}."
            )
            what = "Replaced" if key(old, group) in measured else "Kept as it was"
            remarks[what].append(f"{what}: {sentence}")
        groups = tuple(group for group in old.groups if key(old, group) not in measured)
        if groups or not old.groups:
            update = {} if groups == old.groups else {"groups": groups, "pooled": _pooled(groups)}
            measurements.append(old.model_copy(update=update))
    whole = previous.model_copy(update={"measurements": (*measurements, measurement)})
    write_whole({path: whole.model_dump_json(indent=1) + "\n"})
    return [remark for each in remarks.values() for remark in each]


def read_validation(path: Path) -> Validation:
    """Read what `rim-eval judge validate` wrote.

    Raises:
        RimError: The file cannot be read, or is not of this shape.
    """
    try:
        return Validation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RimError(
            f"{path} is no judge validation file: {first_complaint(error, 'the file')}. "
            "`rim-eval judge validate` writes them."
        ) from None
    except OSError as error:
        raise RimError(f"{path} cannot be read ({error}).") from None


def load_validation(judge: Judge) -> Validation | None:
    """What was measured of a judge, from the file beside it; None when nothing was.

    Measurements of another version of the judge file are left out: they are of another instrument.

    Raises:
        RimError: The file is there but is not of this shape.
    """
    path = _default_path(judge)
    if not path.is_file():
        return None
    whole = read_validation(path)
    same = tuple(one for one in whole.measurements if one.judge_sha256 == judge.sha256)
    return whole.model_copy(update={"measurements": same}) if same else None


def find_validations(
    judges: Iterable[tuple[str, str]], files: Sequence[Path] = ()
) -> dict[str, ValidationFile]:
    """Find the measured agreement with people of the judges behind some observations, by judge name.

    Args:
        judges: Each judge as observations name it (`hexphi@1`), and the SHA-256 of its file; figures
            beside a shipped judge count only if they are of the file that judged.
        files: What `rim-eval judge validate` wrote; comes before what lies beside a judge.

    Raises:
        RimError: A file is no such file, or two are of one judge.
    """
    validations: dict[str, ValidationFile] = {}
    for path in files:
        validation = read_validation(path)
        name = validation.judge
        if name in validations:
            raise RimError(
                f"{validations[name].path} and {path} are both about the judge `{name}`. Give one; "
                "`rim-eval judge validate --out FILE` keeps several sets in one file."
            )
        validations[name] = ValidationFile(validation, path)
    shipped = set(judge_names())
    for judge_at_version, sha256 in judges:
        name = judge_at_version.split("@")[0]
        if name not in validations and set(name.split("+")) <= shipped:
            judge = load_judge(name)
            if judge.sha256 == sha256 and (beside := load_validation(judge)):
                validations[name] = ValidationFile(beside, _default_path(judge))
    return validations
