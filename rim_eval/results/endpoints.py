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
    return max(of_kind.values(), key=lambda each: (_pairs(each), each.dataset)).dataset


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
    return rim_flag(score, accuracy, _doubt(rim, gain if accuracy else None))


def adjusted_p(sets: Sequence[SetResult]) -> dict[str, float]:
    """Holm's p values of all RIM scores by data set; empty with fewer than two."""
    p_values = {
        each.dataset: math.nan
        if each.figures.difference.p_value is None
        else each.figures.difference.p_value
        for each in sets
        if each.kind == "harmful" and each.figures.difference is not None
    }
    return holm(p_values) if len(p_values) > 1 else {}


def _doubt(*sets: SetResult | None) -> str | None:
    """Why the modes of a set are not verified; None where those of all are."""
    for each in sets:
        if each is not None and not each.gate.verified:
            return f"{each.dataset}: {'; '.join(each.gate.reasons)}"
    return None


def _pairs(each: SetResult) -> int:
    return each.figures.difference.n_pairs if each.figures.difference else 0
