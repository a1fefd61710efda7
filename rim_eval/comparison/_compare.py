"""Compares the models of a table with one of them, and joins two checkpoints to the arms of one."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from rim_eval import __version__
from rim_eval.card import SetCard, make_card
from rim_eval.comparison._differences import Arms, against, arms_of, mean_change
from rim_eval.comparison._schema import (
    QUANTITIES,
    Against,
    Comparison,
    FamilyMean,
    SetComparison,
)
from rim_eval.comparison._side_by_side import remarks, require_models, side_by_side
from rim_eval.errors import RimError
from rim_eval.observations import Table
from rim_eval.types import PromptKind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["checkpoint_pair", "compare"]


def compare(
    table: Table,
    reference: str,
    *,
    models: Sequence[str] | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
    series: bool = False,
    level: float = 0.95,
) -> Comparison:
    """Every model's figures, and its differences from the reference, paired on shared prompts.

    Args:
        table: Observations of all models.
        reference: Model that differences are from: a base checkpoint, another model.
        models: Order to show them in; by name unless given.
        families: Family name to its models.
        series: Whether the models are checkpoints in order of training.
        level: Confidence of all intervals.

    Raises:
        RimError: A named model is not there, there is nothing to compare with the reference, or the
            models were not judged alike.
    """
    shown = tuple(models or table.models)
    family_of = _families(table, reference, shown, families or {})
    cards = {model: make_card(table.of_model(model), level=level) for model in shown}

    @cache
    def arms(model: str, dataset: str, kind: PromptKind) -> Arms:
        return arms_of(_rows(table, model, dataset, kind))

    def differ(model: str, found: SetCard) -> tuple[Against, ...]:
        ours, theirs = (arms(m, found.dataset, found.kind) for m in (model, reference))
        each = [against(ours, theirs, q, (model, reference), level) for q in QUANTITIES]
        return tuple(one for one in each if one is not None)

    def means(found: SetComparison) -> SetComparison:
        of = {row.model: arms(row.model, found.dataset, found.kind) for row in found.rows}
        return found.model_copy(update={"families": tuple(_family_means(of, family_of, level))})

    sets = tuple(map(means, side_by_side(cards, reference, family_of, differ)))
    if len(shown) > 1 and not any(row.against for each in sets for row in each.rows):
        raise RimError(
            f"No other model was scored on a prompt that {reference} was scored on: run them on the same sets."
        )
    return Comparison(
        rim_eval=__version__,
        reference=reference,
        level=level,
        series=series,
        models=shown,
        sets=sets,
        remarks=tuple(remarks(cards, sets)),
    )


def checkpoint_pair(table: Table, thinking: str, direct: str, name: str | None = None) -> Table:
    """Two models as the two arms of one: the thinking one's think rows, the other's no-think rows.

    Args:
        table: Observations of both.
        thinking: Model whose think mode is the think arm.
        direct: Model whose no-think mode is the no-think arm.
        name: What the pair is called.

    Raises:
        RimError: A model or its mode is not there, both are one, or they share no prompt.
    """
    require_models((thinking, direct), table.models)
    if thinking == direct:
        raise RimError(
            f"Both arms are {thinking}: its own two modes need no --pair. Name two models: the one that thinks, "
            "and the one that does not."
        )
    frame = table.frame
    ours = ((frame["model"] == thinking) & (frame["mode"] == "think")) | (
        (frame["model"] == direct) & (frame["mode"] == "no_think")
    )
    chosen = table.where(ours)
    joined = chosen.frame.assign(
        model=name or f"{thinking} (thinks) against {direct} (does not)", arm_kind="checkpoint_pair"
    ).astype({"model": "category", "arm_kind": "category"})
    modes = joined.groupby(["dataset", "prompt_id"], observed=True)["mode"].nunique()
    if not (modes == 2).any():
        raise RimError(
            f"{thinking} with thinking and {direct} without were asked no prompt in common: run both on the "
            "same sets, each in that mode at least."
        )
    return Table(joined, chosen.runs, chosen.problems)


def _families(
    table: Table, reference: str, shown: Sequence[str], families: Mapping[str, Sequence[str]]
) -> dict[str, str]:
    named = [reference, *shown, *(model for members in families.values() for model in members)]
    require_models(named, table.models)
    if reference not in shown:
        raise RimError(f"The reference {reference!r} is not among the models to compare.")
    return {model: family for family, members in families.items() for model in members}


def _rows(table: Table, model: str, dataset: str, kind: PromptKind) -> "pd.DataFrame":
    frame = table.frame
    return frame[
        (frame["model"] == model) & (frame["dataset"] == dataset) & (frame["kind"] == kind)
    ]


def _family_means(
    arms: Mapping[str, Arms], family_of: Mapping[str, str], level: float
) -> Iterator[FamilyMean]:
    for family in dict.fromkeys(family_of.values()):
        members = [model for model in arms if family_of.get(model) == family]
        found = mean_change([arms[model] for model in members], level) if members else None
        if found is not None:
            yield FamilyMean(family=family, models=tuple(members), level=level, **found._asdict())
