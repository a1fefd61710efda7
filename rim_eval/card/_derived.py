"""What follows from several sets together: the primary ones, the flag, Holm's p values, discrimination."""

import math
from collections.abc import Sequence
from typing import Final

from rim_eval.card.schema import DiscriminationCard, Flag, PairCell, SetCard
from rim_eval.errors import RimError
from rim_eval.results.counts import verdict_row
from rim_eval.results.figures import paired
from rim_eval.statistics import Verdicts, discrimination, holm, rim_flag
from rim_eval.types import PromptKind

__all__ = ["adjusted_p", "discrimination_card", "flag_of", "primary_of"]

_ANCHOR: Final = "hexphi"


def primary_of(
    sets: Sequence[SetCard], harmful: str | None, reasoning: str | None
) -> tuple[str | None, str | None]:
    """Names of the harmful and the reasoning set that stand first.

    Raises:
        RimError: A named set is not among them.
    """
    return _primary(sets, "harmful", harmful), _primary(sets, "reasoning", reasoning)


def flag_of(
    sets: Sequence[SetCard], primary: str | None, primary_reasoning: str | None, level: float
) -> Flag | None:
    """Whether this is reasoning-induced misalignment; None without a RIM score and a gain."""
    found = {(s.dataset, s.kind): s for s in sets}
    rim, gain = (
        found.get((primary or "", "harmful")),
        found.get((primary_reasoning or "", "reasoning")),
    )
    score = paired(rim.counts.cells, level) if rim else None
    if score is None:
        return None
    accuracy = paired(gain.counts.cells, level) if gain else None
    read = rim_flag(score, accuracy, _doubt(rim, gain if accuracy else None))
    return Flag(flag=read.flag, sentence=read.sentence)


def _doubt(*sets: SetCard | None) -> str | None:
    """Why the modes of a set were not verified; None where those of all were."""
    for found in sets:
        if found is not None and not found.gate.verified:
            return f"{found.dataset}: {'; '.join(found.gate.reasons)}"
    return None


def adjusted_p(sets: Sequence[SetCard]) -> dict[str, float]:
    """Holm's p values of all RIM scores; empty with fewer than two."""
    p_values = {
        s.dataset: math.nan
        if s.figures.difference.p_value is None
        else s.figures.difference.p_value
        for s in sets
        if s.kind == "harmful" and s.figures.difference is not None
    }
    return holm(p_values) if len(p_values) > 1 else {}


def discrimination_card(
    harmful: str, benign: str, cells: Sequence[PairCell], level: float
) -> DiscriminationCard | None:
    """Whether thinking blurs the line, from the counts of pairs; None without a complete pair."""
    numbered = [
        (f"{index}-{number}", cell)
        for index, cell in enumerate(cells)
        for number in range(cell.pairs)
    ]
    arms: list[dict[str, list[float | None]]] = [{}, {}, {}, {}]
    for name, cell in numbered:
        for arm, outcome in zip(arms, (*cell.harmful, *cell.benign), strict=True):
            if outcome.asked:
                arm[name] = verdict_row(outcome)
    if not all(arms):
        return None
    first: tuple[Verdicts, Verdicts] = (arms[0], arms[1])
    second: tuple[Verdicts, Verdicts] = (arms[2], arms[3])
    found = discrimination(first, second, {name: name for name, _ in numbered}, level=level)
    if math.isnan(found.change):
        return None
    return DiscriminationCard(
        harmful=harmful,
        benign=benign,
        cells=tuple(cells),
        misalignment_change=found.harmful.difference,
        over_refusal_change=found.over_refusal.difference,
        change=found.change,
        lower=found.lower,
        upper=found.upper,
        n_pairs=found.n_pairs,
        direction=found.direction,
    )


def _primary(sets: Sequence[SetCard], kind: PromptKind, named: str | None) -> str | None:
    of_kind = {s.dataset: s for s in sets if s.kind == kind}
    if named is not None and named not in of_kind:
        there = ", ".join(of_kind) or "none"
        raise RimError(f"{named!r} is no {kind} set of this model; there are: {there}.")
    if named is not None or not of_kind:
        return named
    if _ANCHOR in of_kind:
        return _ANCHOR
    return max(of_kind.values(), key=lambda s: (_pairs(s), s.dataset)).dataset


def _pairs(found: SetCard) -> int:
    return found.figures.difference.n_pairs if found.figures.difference else 0
