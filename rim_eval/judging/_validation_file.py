"""The small file in which a judge's figures are kept, and what a new measurement changes in it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from rim_eval.errors import RimError, first_complaint
from rim_eval.judging._agreement import pooled
from rim_eval.judging._judge import Judge
from rim_eval.judging._validation import Group, Measurement, Validation

__all__ = [
    "Saved",
    "load_validation",
    "place_for",
    "read_validation",
    "save_measurement",
    "validation_path",
]


class Saved(NamedTuple):
    """What became of a measurement."""

    path: Path
    says: tuple[str, ...]
    """What was replaced and what was kept, a sentence each; empty where nothing was there."""


def read_validation(path: Path) -> Validation:
    """What `rim-eval judge validate` wrote.

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
    kept = _read(validation_path(judge))
    if kept is None:
        return None
    same = tuple(m for m in kept.measurements if m.judge_sha256 == judge.sha256)
    return kept.model_copy(update={"measurements": same}) if same else None


def validation_path(judge: Judge) -> Path:
    """Where a judge's figures are, if there are any: `<judge>.validation.json` beside its file.

    Raises:
        RimError: The judge is no file.
    """
    if judge.path is None:
        raise RimError(f"Judge `{judge.name}` is no file; say where its figures are kept.")
    return judge.path.with_suffix(".validation.json")


def place_for(judge: Judge, path: Path | None = None) -> Path:
    """Where a judge's figures are kept; asked before the work, so that none is lost.

    Args:
        judge: The judge to be measured.
        path: Where to write; by default `<judge>.validation.json` beside the judge's file.

    Raises:
        RimError: The judge is no file, the folder is not there, or the file is of another judge.
    """
    path = path or validation_path(judge)
    kept = _read(path)
    if kept is not None and kept.judge != judge.name:
        raise RimError(
            f"{path} is about the judge `{kept.judge}`, not `{judge.name}`. Choose another --out."
        )
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder" if path.is_dir() else "in a folder that is not there"
        raise RimError(f"{path} is {what}. Name a file with --out, such as {judge.name}.json.")
    return path


def save_measurement(judge: Judge, measurement: Measurement, path: Path | None = None) -> Saved:
    """Add a measurement to the judge's file.

    What is there of the same set, grader and input gives way where the same source model was measured
    anew in the same mode; all else stays.

    Args:
        judge: The judge that was measured.
        measurement: The figures.
        path: Where to write, as `place_for` takes it.

    Raises:
        RimError: The file cannot be written, or what is there is of another shape or judge.
    """
    path = place_for(judge, path)
    kept = _read(path) or Validation(judge=judge.name)
    others = tuple(_others(kept.measurements, measurement))
    text = kept.model_copy(update={"measurements": (*others, measurement)}).model_dump_json(
        indent=1
    )
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise RimError(f"{path} cannot be written ({error.strerror}). Pass --out FILE.") from None
    return Saved(path, tuple(_says(kept.measurements, others)))


def _others(there: Sequence[Measurement], new: Measurement) -> Iterator[Measurement]:
    """What was measured before, without what was measured anew."""
    anew = {_source(group) for group in new.groups}
    for old in there:
        groups = tuple(group for group in old.groups if _source(group) not in anew)
        if _key(old) != _key(new) or len(groups) == len(old.groups):
            yield old
        elif groups:
            yield _of_groups(old, groups)


def _of_groups(old: Measurement, groups: tuple[Group, ...]) -> Measurement:
    one_event = len({group.event for group in groups}) == 1
    together = [group.agreement for group in groups] if len(groups) > 1 and one_event else None
    return old.model_copy(
        update={"groups": groups, "pooled": pooled(together) if together else None}
    )


def _says(before: Sequence[Measurement], after: Sequence[Measurement]) -> Iterator[str]:
    gone, left = dict(_named(before)), dict(_named(after))
    for name, n in gone.items():
        if name not in left:
            yield f"Replaced: {name}, n = {n}."
    for name, n in left.items():
        yield f"Kept as it was: {name}, n = {n}."


def _named(measurements: Sequence[Measurement]) -> Iterator[tuple[str, int]]:
    for one in measurements:
        by = f", grader {one.grader}" if one.grader else ""
        for group in one.groups:
            name = f"{one.set}, {group.model}, {group.mode}, {group.event}{by}, sees {one.sees}"
            yield f"{name}, judge file {one.judge_sha256[:8]}", group.agreement.n


def _key(measurement: Measurement) -> tuple[str, str | None, str]:
    return measurement.set, measurement.grader, measurement.sees


def _source(group: Group) -> tuple[str, str, str]:
    return group.model, group.mode, group.event


def _read(path: Path) -> Validation | None:
    return read_validation(path) if path.is_file() else None
