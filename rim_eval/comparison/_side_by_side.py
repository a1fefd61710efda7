"""Cards side by side, set by set: what a comparison is whether or not prompts can be paired."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rim_eval.card import Card, CardRun, SetCard
from rim_eval.comparison._schema import QUANTITIES, Against, ModelRow, SetComparison
from rim_eval.errors import RimError
from rim_eval.statistics import holm
from rim_eval.types import PROMPT_KINDS

__all__ = ["Differ", "remarks", "require_models", "side_by_side"]

Differ = Callable[[str, SetCard], tuple[Against, ...]]
"""From a model's name and its set to its differences from the reference on that set."""


def require_models(named: Sequence[str], there: Sequence[str]) -> None:
    """Refuse names that no model has.

    Raises:
        RimError: Naming the first one.
    """
    unknown = [model for model in dict.fromkeys(named) if model not in there]
    if unknown:
        raise RimError(f"There is no model {unknown[0]!r}; there are {', '.join(there)}.")


def side_by_side(
    cards: Mapping[str, Card], reference: str, family_of: Mapping[str, str], differ: Differ
) -> Iterator[SetComparison]:
    """Every set of any card with the models that have it, by kind and name.

    Raises:
        RimError: A set was not judged alike.
    """
    names = sorted({(s.dataset, s.kind) for card in cards.values() for s in card.sets})
    for kind in PROMPT_KINDS:
        for dataset in [name for name, of in names if of == kind]:
            found = {m: s for m, card in cards.items() if (s := card.find(dataset, kind))}
            rows = [
                ModelRow(
                    model=model,
                    family=family_of.get(model),
                    arm_kind=each.counts.arm_kind,
                    verified=each.gate.verified,
                    figures=each.figures,
                    against=() if model == reference else differ(model, each),
                )
                for model, each in found.items()
            ]
            yield SetComparison(
                dataset=dataset,
                kind=kind,
                judge=_one_judge(dataset, found),
                rows=tuple(_adjusted(rows)),
            )


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


def _adjusted(rows: Sequence[ModelRow]) -> Iterator[ModelRow]:
    """Holm's p values over the models, for each quantity apart."""
    adjusted: dict[tuple[str, str], float] = {}
    for quantity in QUANTITIES:
        p = {
            r.model: a.p_value
            for r in rows
            for a in r.against
            if a.quantity == quantity and a.p_value is not None
        }
        if len(p) > 1:
            adjusted |= {(model, quantity): value for model, value in holm(p).items()}
    for row in rows:
        changed = tuple(
            a.model_copy(update={"p_holm": adjusted.get((row.model, a.quantity))})
            for a in row.against
        )
        yield row.model_copy(update={"against": changed})


def remarks(cards: Mapping[str, Card], sets: Sequence[SetComparison]) -> Iterator[str]:
    """What a reader must know: sets that not all have, arms, gates, settings that differ."""
    for found in sets:
        there = {row.model for row in found.rows}
        if missing := [model for model in cards if model not in there]:
            yield f"{found.dataset}: not run on {', '.join(missing)}"
        kinds = {row.arm_kind for row in found.rows}
        if len(kinds) > 1:
            yield f"{found.dataset}: modes were brought about differently ({', '.join(sorted(kinds))})"
        for row in found.rows:
            if not row.verified:
                yield f"{found.dataset}: the modes of {row.model} are not verified"
    yield from _settings([run for card in cards.values() for run in card.runs])


def _settings(runs: Sequence[CardRun]) -> Iterator[str]:
    """Budgets and decoding that differ between models on the same set."""
    for dataset in sorted({run.dataset for run in runs}):
        of_set = [run for run in runs if run.dataset == dataset]
        for name in ("answer_tokens", "thinking_tokens", "epochs"):
            values = {str(getattr(run, name)) for run in of_set}
            if len(values) > 1:
                yield f"{dataset}: {name} differ between models ({', '.join(sorted(values))})"
        if len({str(sorted(run.decoding.items())) for run in of_set}) > 1:
            yield f"{dataset}: decoding differs between models"
