"""Compares the models of a table with one of them, and joins two checkpoints to the arms of one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rim_eval import __version__
from rim_eval.card import Card, SetCard, make_card
from rim_eval.comparing._differences import Arms, against, arms_of, mean_change
from rim_eval.comparing._schema import (
    QUANTITIES,
    Against,
    Comparison,
    FamilyMean,
    ModelRow,
    SetComparison,
)
from rim_eval.errors import RimError
from rim_eval.observations import Run, Table
from rim_eval.outcomes import PROMPT_KINDS, PromptKind
from rim_eval.statistics import holm

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
    sets = tuple(_sets(table, cards, reference, family_of, level))
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
        remarks=tuple(_remarks(table, sets, shown)),
    )


def checkpoint_pair(table: Table, thinking: str, direct: str, name: str | None = None) -> Table:
    """Two models as the two arms of one: the thinking one's think rows, the other's no-think rows.

    Args:
        table: Observations of both.
        thinking: Model whose think mode is the think arm.
        direct: Model whose no-think mode is the no-think arm.
        name: What the pair is called.

    Raises:
        RimError: A model or its mode is not there, or they share no prompt.
    """
    for model in (thinking, direct):
        table.of_model(model)
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
    unknown = [model for model in dict.fromkeys(named) if model not in table.models]
    if unknown:
        raise RimError(f"There is no model {unknown[0]!r}; there are {', '.join(table.models)}.")
    if reference not in shown:
        raise RimError(f"The reference {reference!r} is not among the models to compare.")
    return {model: family for family, members in families.items() for model in members}


def _sets(
    table: Table,
    cards: Mapping[str, Card],
    reference: str,
    family_of: Mapping[str, str],
    level: float,
) -> Iterator[SetComparison]:
    names = sorted({(s.dataset, s.kind) for card in cards.values() for s in card.sets})
    for kind in PROMPT_KINDS:
        for dataset in [name for name, of in names if of == kind]:
            found = {m: s for m, card in cards.items() if (s := card.find(dataset, kind))}
            judge = _one_judge(dataset, found)
            arms = {model: arms_of(_rows(table, model, dataset, kind)) for model in found}
            rows = [_row(model, s, arms, reference, family_of, level) for model, s in found.items()]
            yield SetComparison(
                dataset=dataset,
                kind=kind,
                judge=judge,
                rows=tuple(_adjusted(rows)),
                families=tuple(_family_means(arms, family_of, level)),
            )


def _rows(table: Table, model: str, dataset: str, kind: PromptKind) -> "pd.DataFrame":
    frame = table.frame
    return frame[
        (frame["model"] == model) & (frame["dataset"] == dataset) & (frame["kind"] == kind)
    ]


def _one_judge(dataset: str, found: Mapping[str, SetCard]) -> str | None:
    """A difference between instruments is no difference between models."""
    judges = {
        model: (s.judge.name, s.judge.sha256, s.judge.model, s.judge.sees)
        for model, s in found.items()
        if s.judge
    }
    if len(set(judges.values())) > 1:
        said = "; ".join(
            f"{m}: {j} ({g or 'offline'}, sees {s})" for m, (j, _, g, s) in judges.items()
        )
        raise RimError(
            f"{dataset} was not judged alike ({said}), so its rates cannot be compared. "
            "Judge one of them again (`rim-eval judge run`)."
        )
    return next(iter(judges.values()))[0] if judges else None


def _row(
    model: str, found: SetCard, arms: Mapping[str, Arms], reference: str,
    family_of: Mapping[str, str], level: float,
) -> ModelRow:  # fmt: skip
    differences: list[Against] = []
    if model != reference and reference in arms:
        names = (model, reference)
        each = [against(arms[model], arms[reference], q, names, level) for q in QUANTITIES]
        differences = [one for one in each if one is not None]
    return ModelRow(
        model=model,
        family=family_of.get(model),
        arm_kind=found.counts.arm_kind,
        verified=found.gate.verified,
        figures=found.figures,
        against=tuple(differences),
    )


def _adjusted(rows: Sequence[ModelRow]) -> Iterator[ModelRow]:
    """Holm's p values over the models, for each quantity apart."""
    adjusted: dict[tuple[str, str], float] = {}
    for quantity in QUANTITIES:
        p = {r.model: a.p_value for r in rows for a in r.against if a.quantity == quantity}
        if len(p) > 1:
            adjusted |= {(model, quantity): value for model, value in holm(p).items()}
    for row in rows:
        changed = tuple(
            a.model_copy(update={"p_holm": adjusted.get((row.model, a.quantity))})
            for a in row.against
        )
        yield row.model_copy(update={"against": changed})


def _family_means(
    arms: Mapping[str, Arms], family_of: Mapping[str, str], level: float
) -> Iterator[FamilyMean]:
    for family in dict.fromkeys(family_of.values()):
        members = [model for model in arms if family_of.get(model) == family]
        found = mean_change([arms[model] for model in members], level) if members else None
        if found is not None:
            yield FamilyMean(family=family, models=tuple(members), level=level, **found._asdict())


def _remarks(table: Table, sets: Sequence[SetComparison], shown: Sequence[str]) -> Iterator[str]:
    for found in sets:
        there = {row.model for row in found.rows}
        if missing := [model for model in shown if model not in there]:
            yield f"{found.dataset}: not run on {', '.join(missing)}"
        kinds = {row.arm_kind for row in found.rows}
        if len(kinds) > 1:
            yield f"{found.dataset}: modes were brought about differently ({', '.join(sorted(kinds))})"
        for row in found.rows:
            if not row.verified:
                yield f"{found.dataset}: the modes of {row.model} are not verified"
    yield from _settings(table.runs, shown)


def _settings(runs: Sequence[Run], shown: Sequence[str]) -> Iterator[str]:
    """Budgets and decoding that differ between models on the same set."""
    ours = [run for run in runs if run.model in shown]
    for dataset in sorted({run.dataset for run in ours}):
        of_set = [run for run in ours if run.dataset == dataset]
        for name in ("answer_tokens", "thinking_tokens", "epochs"):
            values = {str(getattr(run, name)) for run in of_set}
            if len(values) > 1:
                yield f"{dataset}: {name} differ between models ({', '.join(sorted(values))})"
        if len({str(sorted(run.decoding.items())) for run in of_set}) > 1:
            yield f"{dataset}: decoding differs between models"
