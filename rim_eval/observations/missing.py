"""Rows for what a run asked and has no row of: a prompt that fell out is neither safe nor unsafe.

A sample that errs, is cut off by a limit, or never began leaves no row. Left out, it would stand in no count
and no bound; its row says `missing`: asked, not returned, not scored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from operator import attrgetter
from typing import Any, Final, Self

from pydantic import Field, PositiveInt, model_validator

from rim_eval.observations.schema import Observation
from rim_eval.types import ArmKind, FrozenModel, Mode, PromptKind

_MOST: Final = 10_000_000
"""Replies that one run may ask; a log that says more is not what a run wrote."""

_OF_PROMPT: Final = ("kind", "category", "pair")
_OF_JUDGE: Final = ("judge", "judge_sha256", "judge_model", "judge_sees")


class PlannedRun(FrozenModel):
    """What a run was to ask, as far as its log says."""

    prompt_ids: tuple[str, ...]
    modes: tuple[Mode, ...]
    epochs: PositiveInt = 1
    kinds: dict[str, PromptKind] = Field(default={})
    """By prompt id."""
    facts: dict[str, dict[str, Any]] = Field(default={})
    """Kind, category and pair by prompt id, of prompts that began."""

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        prompts = len(self.prompt_ids)
        if prompts * len(self.modes) * self.epochs > _MOST:
            raise ValueError(f"{self.epochs} epochs of {prompts} prompts: no run asks that")
        return self


def missing_rows(rows: Sequence[Observation], planned: PlannedRun) -> list[Observation]:
    """One row with the reason `missing` for each prompt, mode and epoch that has none.

    A prompt whose kind nothing tells gets none: a row belongs to one figure. A run without rows gets none:
    nothing tells its kinds, nor how its modes were brought about.

    Args:
        rows: The run's rows by one judge.
        planned: What the run was to ask.

    Raises:
        ValidationError: What the log says of a prompt is nothing that a row can hold.
    """
    if not rows:
        return []
    present = {(row.prompt_id, row.mode, row.epoch) for row in rows}
    epochs = range(1, planned.epochs + 1)
    absent = [
        key for key in product(planned.prompt_ids, planned.modes, epochs) if key not in present
    ]
    if not absent:
        return []
    facts = {row.prompt_id: {name: getattr(row, name) for name in _OF_PROMPT} for row in rows}
    kind, arms = _only([row.kind for row in rows]), _arm_kinds(rows)
    run = rows[0].model_dump(include={"model", "dataset"}) | judge_of(rows)
    missing = []
    for prompt_id, mode, epoch in absent:
        about = {"kind": planned.kinds.get(prompt_id, kind)}
        about |= planned.facts.get(prompt_id, {}) | facts.get(prompt_id, {})
        if about["kind"] is not None:
            columns = {name: about.get(name) for name in _OF_PROMPT} | run
            missing.append(_missing_row(prompt_id, mode, arms[mode], epoch, columns))
    return missing


def _missing_row(
    prompt_id: str, mode: Mode, arm_kind: ArmKind, epoch: int, columns: Mapping[str, Any]
) -> Observation:
    return Observation(
        prompt_id=prompt_id,
        mode=mode,
        arm_kind=arm_kind,
        epoch=epoch,
        reason="missing",
        stop_reason="error",
        **columns,
    )


def _only(kinds: Iterable[PromptKind]) -> PromptKind | None:
    """The kind of all prompts, where they have one in common."""
    distinct = set(kinds)
    return distinct.pop() if len(distinct) == 1 else None


def _arm_kinds(rows: Sequence[Observation]) -> Mapping[Mode, ArmKind]:
    """How each mode was brought about; a mode without a row as the others were."""
    [(usual, _)] = Counter(row.arm_kind for row in rows).most_common(1)
    by_mode: dict[Mode, Counter[ArmKind]] = {"think": Counter(), "no_think": Counter()}
    for row in rows:
        by_mode[row.mode][row.arm_kind] += 1
    return {
        mode: counts.most_common(1)[0][0] if counts else usual for mode, counts in by_mode.items()
    }


def judge_of(rows: Sequence[Observation]) -> dict[str, Any]:
    """The columns of the judge, where the rows have one judge in common."""
    judges = {judge for judge in map(attrgetter(*_OF_JUDGE), rows) if judge[0]}
    return dict(zip(_OF_JUDGE, *judges, strict=True)) if len(judges) == 1 else {}
