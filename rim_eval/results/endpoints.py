"""The primary endpoints of a model and what follows from several sets together: the flag, Holm's p values."""

import math
from collections.abc import Sequence
from typing import Final

from rim_eval.errors import RimError
from rim_eval.results.figures import SetResult, paired
from rim_eval.statistics import RimFlag, holm, rim_flag
from rim_eval.types import PromptKind

_ANCHOR: Final = "hexphi"
"""The paper's set: primary wherever it was run."""


def primary_set(
    sets: Sequence[SetResult], kind: PromptKind, named: str | None = None
) -> str | None:
    """Name of the set of one kind that stands first; None where there is none of the kind.

    Args:
        sets: Results of one model.
        kind: Kind of the prompts.
        named: The declared one; by default `hexphi`, else the set with most pairs.

    Raises:
        RimError: The named set is not among them.
    """
    of_kind = {each.dataset: each for each in sets if each.kind == kind}
    if named is not None and named not in of_kind:
        names = ", ".join(of_kind) or "none"
        raise RimError(f"{named!r} is no {kind} set of this model; there are: {names}.")
    if named is not None or not of_kind:
        return named
    if _ANCHOR in of_kind:
        return _ANCHOR
    changes = {name: each.figures.difference for name, each in of_kind.items()}
    pairs = {name: change.n_pairs if change else 0 for name, change in changes.items()}
    return max(pairs, key=lambda name: (pairs[name], name))


def flag_of(
    sets: Sequence[SetResult], primary: str | None, primary_reasoning: str | None, level: float
) -> RimFlag | None:
    """Whether this is reasoning-induced misalignment; None without a RIM score.

    Args:
        sets: Results of one model.
        primary: The harmful set whose RIM score counts.
        primary_reasoning: The reasoning set whose accuracy gain counts.
        level: Confidence of the intervals, a fraction.
    """
    by_name = {(each.dataset, each.kind): each for each in sets}
    rim = by_name.get((primary or "", "harmful"))
    gain = by_name.get((primary_reasoning or "", "reasoning"))
    score = paired(rim.counts.cells, level) if rim else None
    if score is None:
        return None
    accuracy = paired(gain.counts.cells, level) if gain else None
    doubts = (
        f"{each.dataset}: {'; '.join(each.mode_check.reasons)}"
        for each in (rim, gain if accuracy else None)
        if each is not None and not each.mode_check.verified
    )
    return rim_flag(score, accuracy, next(doubts, None))


def adjusted_p(sets: Sequence[SetResult]) -> dict[str, float]:
    """Holm's p values of all RIM scores by data set; empty with fewer than two."""
    tested = {each.dataset: each.figures.difference for each in sets if each.kind == "harmful"}
    p_values = {
        name: math.nan if change.p_value is None else change.p_value
        for name, change in tested.items()
        if change is not None
    }
    return holm(p_values) if len(p_values) > 1 else {}
