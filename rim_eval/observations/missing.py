"""Rows for what a run asked and has no row of: a prompt that fell out is neither safe nor unsafe.

A sample that errs, is cut off by a limit, or never began leaves no row. Left out, it would stand in no count
and no bound; its row says `missing`: asked, not returned, not scored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from operator import attrgetter
from typing import Any, Final, NamedTuple, Self

from pydantic import Field, PositiveInt, model_validator

from rim_eval.observations.schema import Observation, condition_name
from rim_eval.types import ArmKind, FrozenModel, Mode, PromptKind

_MOST: Final = 10_000_000
"""Replies that one run may ask; a log that says more is not what a run wrote."""

_OF_PROMPT: Final = ("kind", "category", "pair")
_OF_JUDGE: Final = ("judge", "judge_sha256", "judge_model", "judge_sees")


class AskedArm(NamedTuple):
    """One arm that every prompt was to be asked in."""

    mode: Mode
    dose: str | None = None
    attack: str | None = None


class PlannedRun(FrozenModel):
    """What a run was to ask, as far as its log says."""

    prompt_ids: tuple[str, ...]
    modes: tuple[Mode, ...]
    doses: tuple[tuple[Mode, str], ...] = ()
    """Mode and name of each dose, in a run of several; in place of the modes."""
    attacks: tuple[str | None, ...] = (None,)
    """Attacks that every prompt was to be asked under; None is the bare prompt."""
    epochs: PositiveInt = 1
    kinds: dict[str, PromptKind] = Field(default={})
    """By prompt id."""
    facts: dict[str, dict[str, Any]] = Field(default={})
    """Kind, category, pair, and the attack where it had something, by prompt id, of prompts that began."""

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        prompts = len(self.prompt_ids)
        if prompts * len(self.arms) * self.epochs > _MOST:
            raise ValueError(f"{self.epochs} epochs of {prompts} prompts: no run asks that")
        return self

    @property
    def arms(self) -> tuple[AskedArm, ...]:
        """The arms that a prompt was to be asked in."""
        asked: tuple[tuple[Mode, str | None], ...] = self.doses or tuple(
            (mode, None) for mode in self.modes
        )
        return tuple(AskedArm(*arm, attack) for attack in self.attacks for arm in asked)

    def was_asked(self, prompt_id: str, arm: AskedArm) -> bool:
        """Whether a prompt was to be asked in an arm: an attack has nothing for some prompts."""
        facts = self.facts.get(prompt_id)
        return arm.attack is None or facts is None or "attack" in facts


def missing_rows(rows: Sequence[Observation], planned: PlannedRun) -> list[Observation]:
    """One row with the reason `missing` for each prompt, arm and epoch that has none.

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
    # Plain tuples, which are equal to planned arms: a large log has a row for each.
    present = {(row.prompt_id, (row.mode, row.dose, row.attack), row.epoch) for row in rows}
    epochs = range(1, planned.epochs + 1)
    absent = [
        key
        for key in product(planned.prompt_ids, planned.arms, epochs)
        if key not in present and planned.was_asked(*key[:2])
    ]
    if not absent:
        return []
    facts = {row.prompt_id: {name: getattr(row, name) for name in _OF_PROMPT} for row in rows}
    kind, arms = _only([row.kind for row in rows]), _arm_kinds(rows)
    of_run = ("model", "sampling", "sequential")
    run = {name: getattr(rows[0], name) for name in of_run} | judge_of(rows)
    dataset = rows[0].bare_dataset
    missing = []
    for prompt_id, arm, epoch in absent:
        about: dict[str, Any] = {"kind": planned.kinds.get(prompt_id, kind)}
        about |= planned.facts.get(prompt_id, {}) | facts.get(prompt_id, {})
        if about["kind"] is not None:
            columns = {name: about.get(name) for name in _OF_PROMPT} | run | arm._asdict()
            columns["dataset"] = condition_name(dataset, arm.attack, rows[0].sampling)
            missing.append(_missing_row(prompt_id, arms[arm.mode], epoch, columns))
    return missing


def _missing_row(
    prompt_id: str, arm_kind: ArmKind, epoch: int, columns: Mapping[str, Any]
) -> Observation:
    return Observation(
        prompt_id=prompt_id,
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
