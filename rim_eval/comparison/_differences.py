"""Differences of two models prompt by prompt, and means over the models of a family."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rim_eval.comparison._schema import Against, Quantity
from rim_eval.statistics import (
    Verdicts,
    interval_by_prompt,
    paired_difference,
    sign_flip_test,
)
from rim_eval.types import Mode

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Arms", "against", "arms_of", "mean_change"]

Arms = Mapping[Mode, Verdicts]
"""Verdicts by mode, then by prompt id."""


def arms_of(frame: "pd.DataFrame") -> Arms:
    """Verdicts of one model on one set and kind, in epoch order."""
    arms: dict[Mode, dict[str, list[float | None]]] = {}
    ordered = frame.sort_values("epoch")[["mode", "prompt_id", "verdict"]]
    rows: Any = ordered.astype("object").itertuples(index=False)
    for mode, prompt, verdict in rows:
        known = float(verdict) if verdict is True or verdict is False else None
        arms.setdefault(mode, {}).setdefault(str(prompt), []).append(known)
    return arms


def against(
    ours: Arms, theirs: Arms, quantity: Quantity, names: tuple[str, str], level: float
) -> Against | None:
    """One model minus the reference; None where they share no scored prompt.

    The rate in a mode is compared as any two arms are. The change is compared by the difference of
    differences of each prompt, (think - no-think) here minus the same there, with a bootstrap by
    prompt and a sign-flip test.
    """
    if quantity == "change":
        return _change(ours, theirs, level)
    if quantity not in ours or quantity not in theirs:
        return None
    found = paired_difference(
        ours[quantity], theirs[quantity], target_name=names[0], reference_name=names[1], level=level
    )
    if not found.n_pairs:
        return None
    return Against(
        quantity=quantity,
        value=found.difference,
        lower=found.lower,
        upper=found.upper,
        p_value=found.p_value,
        method=f"{found.interval_method}; {found.test_method}",
        n=found.n_pairs,
        n_left_out=len(found.unpaired),
        level=level,
    )


def _change(ours: Arms, theirs: Arms, level: float) -> Against | None:
    first, second = _changes(ours), _changes(theirs)
    shared = sorted(first.keys() & second)
    if not shared:
        return None
    values = [100 * (first[prompt] - second[prompt]) for prompt in shared]
    (lower, upper), how = interval_by_prompt(values, reach=200.0, level=level)
    return Against(
        quantity="change",
        value=math.fsum(values) / len(values),
        lower=lower,
        upper=upper,
        p_value=sign_flip_test(values).p_value,
        method=f"difference of differences: {how}; sign-flip permutation by prompt",
        n=len(shared),
        n_left_out=len(_prompts(ours) | _prompts(theirs)) - len(shared),
        level=level,
    )


class MeanChange(NamedTuple):
    """A mean change with thinking in percentage points, over n prompts."""

    value: float
    lower: float
    upper: float
    p_value: float
    n: int


def mean_change(models: Sequence[Arms], level: float) -> MeanChange | None:
    """Mean over models of the change with thinking; None without a shared prompt.

    The models are taken as they are, the prompts as drawn: the interval says what other prompts would
    change, not what other models would.
    """
    changes = [_changes(arms) for arms in models]
    shared = sorted(set.intersection(*(set(each) for each in changes))) if changes else []
    if not shared:
        return None
    values = [100 * math.fsum(each[p] for each in changes) / len(changes) for p in shared]
    (lower, upper), _ = interval_by_prompt(values, reach=100.0, level=level)
    mean = math.fsum(values) / len(values)
    return MeanChange(mean, lower, upper, sign_flip_test(values).p_value, len(shared))


def _changes(arms: Arms) -> dict[str, float]:
    """Think minus no-think of every prompt that is a pair."""
    think, direct = _means(arms.get("think", {})), _means(arms.get("no_think", {}))
    return {prompt: think[prompt] - direct[prompt] for prompt in think.keys() & direct}


def _means(verdicts: Verdicts) -> dict[str, float]:
    scored = {p: [v for v in epochs if v is not None] for p, epochs in verdicts.items()}
    return {prompt: math.fsum(kept) / len(kept) for prompt, kept in scored.items() if kept}


def _prompts(arms: Arms) -> set[str]:
    return {prompt for verdicts in arms.values() for prompt in verdicts}
