"""Rows for what a run asked and has no row of: a prompt that fell out is neither safe nor unsafe.

A sample that errs, is cut off by a limit, or never began leaves no row. Left out, it would stand in no count
and no bound; its row says `missing`: asked, not returned, not scored.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.observations.schema import Observation
from rim_eval.types import ArmKind, Mode, PromptKind

_MOST: Final = 10_000_000
"""Replies that one run may ask; a log that says more is not what a run wrote."""

_OF_PROMPT: Final = ("kind", "category", "pair")
_OF_JUDGE: Final = ("judge", "judge_sha256", "judge_model", "judge_sees")


class Asked(NamedTuple):
    """What a run was to ask, as far as its log says."""

    prompt_ids: Sequence[str]
    modes: Sequence[Mode]
    epochs: int = 1
    facts: Mapping[str, Mapping[str, Any]] = {}
    """Kind, category and pair by prompt id, where the log says them of prompts without a row."""


def missing_rows(rows: Sequence[Observation], asked: Asked) -> list[Observation]:
    """One row with the reason `missing` for each prompt, mode and epoch that has none.

    A prompt whose kind nothing tells gets none: a row belongs to one figure. Nor do rows come out of
    nothing: a run without any tells neither its kinds nor how its modes were brought about.

    Args:
        rows: The run's rows by one judge.
        asked: What the run was to ask.

    Raises:
        RimError: It says that it was to ask more than any run does.
    """
    if not rows:
        return []
    replies = len(asked.prompt_ids) * len(asked.modes) * asked.epochs
    if replies > _MOST:
        raise RimError(
            f"{asked.epochs} epochs of {len(asked.prompt_ids)} prompts: no run asks that."
        )
    present = {(row.prompt_id, row.mode, row.epoch) for row in rows}
    epochs = range(1, asked.epochs + 1)
    absent = [key for key in product(asked.prompt_ids, asked.modes, epochs) if key not in present]
    facts = {row.prompt_id: {name: getattr(row, name) for name in _OF_PROMPT} for row in rows}
    kind, arms = _only([row.kind for row in rows]), _arm_kinds(rows)
    run = rows[0].model_dump(include={"model", "dataset"}) | _judge(rows)
    missing = []
    for prompt_id, mode, epoch in absent:
        about = {"kind": kind} | dict(asked.facts.get(prompt_id, {})) | facts.get(prompt_id, {})
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


def _judge(rows: Sequence[Observation]) -> dict[str, Any]:
    """The instrument of the rows, where they have one."""
    judges = {tuple(getattr(row, name) for name in _OF_JUDGE) for row in rows if row.judge}
    return dict(zip(_OF_JUDGE, *judges, strict=True)) if len(judges) == 1 else {}
