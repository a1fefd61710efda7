"""Compare models with a named reference, and join two checkpoints as the arms of one model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

from rim_eval._version import __version__
from rim_eval.card import Card, CardRun, SetCard, make_card
from rim_eval.comparison._differences import (
    SetVerdicts,
    family_mean,
    paired_differences,
    unpaired_differences,
    verdicts_by_set,
)
from rim_eval.comparison._schema import (
    QUANTITIES,
    Comparison,
    ModelDifference,
    ModelRow,
    SetComparison,
)
from rim_eval.errors import RimError
from rim_eval.observations import Table
from rim_eval.statistics import holm
from rim_eval.types import PROMPT_KINDS, PromptKind

_NOT_PAIRED = (
    "not paired: cards hold counts and no prompts, so differences between models are those of two independent "
    "samples, without a test. Logs or tables of observations give narrower intervals and a test"
)


def compare(
    results: Table | Mapping[str, Card],
    reference: str,
    *,
    models: Sequence[str] | None = None,
    families: Mapping[str, Sequence[str]] | None = None,
    series: bool = False,
    level: float = 0.95,
) -> Comparison:
    """Compare every model with the reference, set by set.

    Differences between models of a table are paired on the prompts that both were scored on. Cards
    hold counts and no prompts: their differences are those of independent samples, without a test.

    Args:
        results: Observations of all models, or cards by the name to show.
        reference: Model that differences are from: a base checkpoint, another model.
        models: Order to show them in; the order of `results` unless given.
        families: Family name to its models; for tables only.
        series: Whether the models are checkpoints in order of training.
        level: Confidence of all intervals; cards bring their own.

    Raises:
        RimError: A named model is not there, there is nothing to compare with the reference, the models
            were not judged alike, or two cards are one result or have intervals of different levels.
    """
    names = results.models if isinstance(results, Table) else tuple(results)
    families, order = families or {}, tuple(models or names)
    _require_models([reference, *order, *(m for each in families.values() for m in each)], names)
    _require_models([reference], order)
    if isinstance(results, Table):
        cards = {model: make_card(results.of_model(model), level=level) for model in order}
        verdicts = verdicts_by_set(results.frame)
    else:
        cards, verdicts = {model: results[model] for model in order}, None
        level = _check_cards(cards, families)
    names_of_sets = {(s.dataset, s.kind) for card in cards.values() for s in card.sets}
    sets = tuple(
        _compare_set(dataset, kind, cards, reference, families, verdicts, level)
        for dataset, kind in sorted(names_of_sets, key=lambda k: (PROMPT_KINDS.index(k[1]), k[0]))
    )
    if len(order) > 1 and not any(row.against for each in sets for row in each.rows):
        raise RimError(
            f"No other model was scored on a prompt that {reference} was scored on: run them on the same sets."
        )
    return Comparison(
        rim_eval=__version__,
        reference=reference,
        level=level,
        series=series,
        paired=verdicts is not None,
        models=order,
        sets=sets,
        remarks=tuple(_remarks(cards, sets, paired=verdicts is not None)),
    )


def checkpoint_pair(table: Table, thinking: str, direct: str, name: str | None = None) -> Table:
    """Join two models as the arms of one: the think rows of the first, the no-think rows of the other.

    Args:
        table: Observations of both.
        thinking: Model whose think mode is the think arm.
        direct: Model whose no-think mode is the no-think arm.
        name: What the pair is called.

    Raises:
        RimError: A model or its mode is not there, both are one, or they share no prompt.
    """
    _require_models((thinking, direct), table.models)
    if thinking == direct:
        raise RimError(
            f"Both arms are {thinking}: its own two modes need no --pair. Name two models: the one that thinks, "
            "and the one that does not."
        )
    frame = table.frame
    in_pair = ((frame["model"] == thinking) & (frame["mode"] == "think")) | (
        (frame["model"] == direct) & (frame["mode"] == "no_think")
    )
    chosen = table.where(in_pair)
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


def _require_models(named: Sequence[str], models: Sequence[str]) -> None:
    unknown = [model for model in named if model not in models]
    if unknown:
        raise RimError(f"There is no model {unknown[0]!r}; there are {', '.join(models)}.")


def _check_cards(cards: Mapping[str, Card], families: Mapping[str, Sequence[str]]) -> float:
    """The level of the cards' intervals, once they can be compared."""
    if families:
        raise RimError(
            "Families are means over shared prompts, and cards hold no prompts. Give a table of observations."
        )
    for (one, card), (other, copy) in combinations(cards.items(), 2):
        runs = {run.id for run in card.runs} & {run.id for run in copy.runs}
        if runs or card.sets == copy.sets:
            raise RimError(
                f"{one} and {other} are the same result under two names"
                f"{f' (run {min(runs)})' if runs else ''}: compared with itself a model differs by nothing. "
                "Leave one out, or give the other model's card."
            )
    levels = sorted({card.level for card in cards.values()})
    if len(levels) > 1:
        raise RimError(
            f"These cards' intervals are at different levels ({', '.join(map(str, levels))})."
        )
    return levels[0]


def _compare_set(
    dataset: str, kind: PromptKind, cards: Mapping[str, Card], reference: str,
    families: Mapping[str, Sequence[str]], verdicts: SetVerdicts | None, level: float,
) -> SetComparison:  # fmt: skip
    """All models that have a set: paired where there are verdicts, else by their cards."""
    by_model = {m: s for m, card in cards.items() if (s := card.find(dataset, kind))}
    arms = {m: verdicts[m, dataset, kind] for m in by_model} if verdicts is not None else {}

    def differences(model: str) -> Iterable[ModelDifference]:
        if model == reference or reference not in by_model:
            return ()
        if verdicts is None:
            return unpaired_differences(by_model[model], by_model[reference], level)
        return paired_differences(arms[model], arms[reference], (model, reference), level)

    rows = [
        ModelRow(
            model=model,
            family=next((name for name, members in families.items() if model in members), None),
            arm_kind=each.counts.arm_kind,
            verified=each.mode_check.verified,
            figures=each.figures,
            against=tuple(differences(model)),
        )
        for model, each in by_model.items()
    ]
    means = (
        family_mean(name, {m: arms[m] for m in by_model if m in members}, level)
        for name, members in families.items()
    )
    return SetComparison(
        dataset=dataset,
        kind=kind,
        judge=_common_judge(dataset, by_model),
        rows=tuple(_adjusted(rows)),
        families=tuple(mean for mean in means if mean is not None),
    )


def _common_judge(dataset: str, by_model: Mapping[str, SetCard]) -> str | None:
    """A difference between instruments is no difference between models."""
    judges = {model: s.judge for model, s in by_model.items() if s.judge}
    if len({(j.name, j.sha256, j.model, j.sees) for j in judges.values()}) > 1:
        listed = "; ".join(
            f"{model}: {j.name} ({j.model or 'offline'}, sees {j.sees})"
            for model, j in judges.items()
        )
        raise RimError(
            f"{dataset} was not judged alike ({listed}), so its rates cannot be compared. "
            "Judge one of them again (`rim-eval judge run`)."
        )
    return next((judge.name for judge in judges.values()), None)


def _adjusted(rows: Sequence[ModelRow]) -> Iterator[ModelRow]:
    """Add Holm's p values over the models, for each quantity apart."""
    adjusted: dict[tuple[str, str], float] = {}
    for quantity in QUANTITIES:
        p_values = {
            row.model: difference.p_value
            for row in rows
            for difference in row.against
            if difference.quantity == quantity and difference.p_value is not None
        }
        if len(p_values) > 1:
            adjusted |= {(model, quantity): value for model, value in holm(p_values).items()}
    for row in rows:
        differences = tuple(
            each.model_copy(update={"p_holm": adjusted.get((row.model, each.quantity))})
            for each in row.against
        )
        yield row.model_copy(update={"against": differences})


def _remarks(
    cards: Mapping[str, Card], sets: Sequence[SetComparison], *, paired: bool
) -> Iterator[str]:
    """Sets that not all models have, arms and settings that differ, modes that are not verified."""
    if not paired:
        yield from _card_remarks(cards, sets)
    for each in sets:
        if missing := [model for model in cards if model not in {row.model for row in each.rows}]:
            yield f"{each.dataset}: not run on {', '.join(missing)}"
        kinds = {row.arm_kind for row in each.rows}
        if len(kinds) > 1:
            yield f"{each.dataset}: modes were brought about differently ({', '.join(sorted(kinds))})"
        for row in each.rows:
            if not row.verified:
                yield f"{each.dataset}: the modes of {row.model} are not verified"
    yield from _setting_remarks([run for card in cards.values() for run in card.runs])


def _setting_remarks(runs: Sequence[CardRun]) -> Iterator[str]:
    for dataset in sorted({run.dataset for run in runs}):
        of_set = [run for run in runs if run.dataset == dataset]
        for name in ("answer_tokens", "thinking_tokens", "epochs"):
            values = {str(getattr(run, name)) for run in of_set}
            if len(values) > 1:
                yield f"{dataset}: {name} differ between models ({', '.join(sorted(values))})"
        if len({str(sorted(run.decoding.items())) for run in of_set}) > 1:
            yield f"{dataset}: decoding differs between models"


def _card_remarks(cards: Mapping[str, Card], sets: Sequence[SetComparison]) -> Iterator[str]:
    """That cards are not paired, and signs that a set was not the same prompts for all."""
    yield _NOT_PAIRED
    for each in sets:
        counts = {
            max(rate.n_prompts for rate in (row.figures.think, row.figures.no_think) if rate)
            for row in each.rows
        }
        if len(counts) > 1:
            numbers = " and ".join(map(str, sorted(counts)))
            yield f"{each.dataset}: not the same prompts: {numbers} were asked"
        files = {
            tuple(sorted(file.sha256 for file in run.provenance.files))
            for card in cards.values()
            for run in card.runs
            if run.dataset == each.dataset and run.provenance
        }
        if len(files) > 1:
            yield f"{each.dataset}: the prompts come from different files"
