"""Compare models with a named reference, and join two checkpoints as the arms of one model."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import TYPE_CHECKING, Any

from rim_eval import statistics
from rim_eval._version import __version__
from rim_eval.card import Card, SetCard, make_card
from rim_eval.comparison import schema
from rim_eval.comparison.changes import SetVerdicts, changes_by_prompt, mean_by_prompt
from rim_eval.comparison.comparison import Comparison
from rim_eval.comparison.families import (
    families_over_sets,
    families_without_mean,
    family_mean,
    family_mean_of_cards,
)
from rim_eval.errors import RimError
from rim_eval.formatting import MODE_WORDS, only_mode_sentence
from rim_eval.observations import Table
from rim_eval.results.doses import least_and_most_rows
from rim_eval.statistics.verdicts import tally
from rim_eval.types import PROMPT_KINDS, PromptKind

if TYPE_CHECKING:
    import pandas as pd

_NOT_PAIRED = (
    "not paired: cards hold counts and no prompts, so differences between models are those of two independent "
    "samples, without a test. Logs or tables of observations give a test, and mostly narrower intervals"
)

_Differences = Mapping[str, tuple[schema.ModelDifference, ...]]
"""Differences of every model from the reference; none of the reference."""


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
        families: Family name to its models.
        series: Whether the models are checkpoints in order of training; families then say nothing of further models.
        level: Confidence of all intervals; cards bring their own.

    Raises:
        RimError: A named model is not there, there is nothing to compare with the reference, the models
            were not judged alike, or two cards are one result or have intervals of different levels.
    """
    names = results.models if isinstance(results, Table) else tuple(results)
    families, order = families or {}, tuple(models or names)
    _require_models([reference, *order, *chain.from_iterable(families.values())], names)
    _require_models([reference], order)
    verdicts = None
    if isinstance(results, Table):
        cards = {model: make_card(results.of_model(model), level=level) for model in order}
        verdicts = verdicts_by_set(results.frame)
    else:
        cards = {model: results[model] for model in order}
        level = _check_cards(cards)
    by_set: dict[tuple[str, PromptKind], dict[str, SetCard]] = defaultdict(dict)
    for model, card in cards.items():
        for each in card.sets:
            by_set[each.dataset, each.kind][model] = each
    sets = tuple(
        _compare_set(
            by_set[key],
            verdicts[key] if verdicts else None,
            reference,
            families,
            level,
            series=series,
        )
        for key in sorted(by_set, key=lambda key: (PROMPT_KINDS.index(key[1]), key[0]))
    )
    if len(order) > 1 and not any(row.against for each in sets for row in each.rows):
        raise RimError(
            f"No other model was scored on a prompt that {reference} was scored on: run them on the same sets."
        )
    without_mean = families_without_mean(sets, families)
    return Comparison(
        rim_eval=__version__,
        reference=reference,
        primary=cards[reference].primary,
        level=level,
        series=series,
        paired=verdicts is not None,
        models=order,
        sets=sets,
        families=tuple(families_over_sets(sets, verdicts, level)),
        remarks=(*_remarks(cards, sets, paired=verdicts is not None), *without_mean),
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
    model, mode = table.frame["model"], table.frame["mode"]
    chosen = table.where(
        ((model == thinking) & (mode == "think")) | ((model == direct) & (mode == "no_think"))
    )
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
    if unknown := [model for model in named if model not in models]:
        raise RimError(f"There is no model {unknown[0]!r}; there are {', '.join(models)}.")


def _check_cards(cards: Mapping[str, Card]) -> float:
    """The level of the cards' intervals, once they can be compared."""
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


def verdicts_by_set(frame: "pd.DataFrame") -> Mapping[tuple[str, PromptKind], SetVerdicts]:
    """Sort the verdicts of observations by set, then by model, mode and prompt, in epoch order.

    Of several doses the least and the most count, as on a card.

    Args:
        frame: Observations of one judge.
    """
    sets: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list))))
    columns = ["dataset", "kind", "model", "mode", "prompt_id", "verdict"]
    ordered = least_and_most_rows(frame).sort_values("epoch")[columns].astype("object")
    for dataset, kind, model, mode, prompt, verdict in ordered.itertuples(index=False):
        scored = float(verdict) if verdict is True or verdict is False else None
        sets[dataset, kind][model][mode][str(prompt)].append(scored)
    return sets  # type: ignore[no-any-return]


def _compare_set(
    by_model: Mapping[str, SetCard],
    verdicts: SetVerdicts | None,
    reference: str,
    families: Mapping[str, Sequence[str]],
    level: float,
    *,
    series: bool,
) -> schema.SetComparison:
    """All models that have a set: paired where there are verdicts, else by their cards."""
    if verdicts is not None:
        verdicts = {
            model: {
                mode: of_mode
                for mode, of_mode in verdicts[model].items()
                if each.counts.only_mode in (None, mode)
            }
            for model, each in by_model.items()
        }
    against: dict[str, tuple[schema.ModelDifference, ...]] = dict.fromkeys(by_model, ())
    for model in by_model.keys() - {reference} if reference in by_model else ():
        if verdicts is None:
            against[model] = tuple(_unpaired(by_model[model], by_model[reference], level))
        else:
            sequential = any(by_model[each].counts.sequential for each in (model, reference))
            against[model] = tuple(
                _paired(verdicts, model, reference, level, sequential=sequential)
            )
    adjusted = _adjust(against)
    means = [
        family_mean_of_cards(
            name, {m: by_model[m] for m in by_model if m in members}, level, ordered=series
        )
        if verdicts is None
        else family_mean(
            name,
            {m: verdicts[m] for m in by_model if m in members},
            level,
            ordered=series,
            sequential=any(by_model[m].counts.sequential for m in by_model if m in members),
        )
        for name, members in families.items()
    ]
    first = next(iter(by_model.values()))
    return schema.SetComparison(
        dataset=first.dataset,
        kind=first.kind,
        judge=_common_judge(by_model),
        rows=tuple(
            schema.ModelRow(
                model=model,
                family=next((name for name, members in families.items() if model in members), None),
                arm_kind=each.counts.arm_kind,
                verified=each.mode_check.verified,
                figures=each.figures,
                against=adjusted[model],
            )
            for model, each in by_model.items()
        ),
        families=tuple(mean for mean in means if mean is not None),
    )


def _common_judge(by_model: Mapping[str, SetCard]) -> str | None:
    """The judge of all models: a difference between instruments is no difference between models."""
    judges = {model: each.judge for model, each in by_model.items() if each.judge}
    if len({(j.name, j.sha256, j.model, j.sees) for j in judges.values()}) > 1:
        listed = "; ".join(
            f"{model}: {j.name} ({j.model or 'offline'}, sees {j.sees})"
            for model, j in judges.items()
        )
        raise RimError(
            f"{next(iter(by_model.values())).dataset} was not judged alike ({listed}), so its rates cannot be "
            "compared. Judge one of them again (`rim-eval judge run`)."
        )
    return next((judge.name for judge in judges.values()), None)


def _unpaired(model: SetCard, reference: SetCard, level: float) -> Iterator[schema.ModelDifference]:
    """Compare two cards; the interval is combined from both models' own ones (Newcombe; Zou and Donner)."""
    for quantity in schema.QUANTITIES:
        one, n = _estimate(model, quantity)
        other, n_reference = _estimate(reference, quantity)
        if one and other:
            yield schema.ModelDifference(
                quantity=quantity,
                value=one.value - other.value,
                p_value=None,
                method="not paired: from both intervals (Newcombe; Zou and Donner); no test",
                n=n,
                n_reference=n_reference,
                n_left_out=0,
                level=level,
                **statistics.unpaired_interval(one, other)._asdict(),
            )


def _estimate(card: SetCard, quantity: schema.Quantity) -> tuple[statistics.Estimate | None, int]:
    """A figure in percent or percentage points, None where it was not measured, and its prompts."""
    if quantity == "change":
        change = card.figures.difference
        return (change.estimate, change.n_pairs) if change else (None, 0)
    rate = card.figures.rate(quantity)
    return (rate.estimate, rate.n_prompts_scored) if rate else (None, 0)


def _paired(
    verdicts: SetVerdicts, model: str, reference: str, level: float, *, sequential: bool
) -> Iterator[schema.ModelDifference]:
    """Compare two models on the prompts that both were scored on; nothing without such prompts.

    The rate in a mode is compared as any two arms are. The change is compared by the difference of
    differences of each prompt, (think - no-think) of the model minus the same of the reference, with
    the score interval and test of its mean by prompt. Where one of the runs could stop early, both ask their prompts in one
    order, so the shared ones are a beginning of it, and the intervals are those that hold at every look.
    """
    one, other = verdicts[model], verdicts[reference]
    for mode in MODE_WORDS:
        arms = one.get(mode, {}), other.get(mode, {})
        paired = statistics.paired_difference(
            *arms, target_name=model, reference_name=reference, level=level
        )
        if sequential:
            held = statistics.sequential_difference(
                tally(*arms), target_name=model, reference_name=reference, level=level
            )
            paired = held.model_copy(update={"unpaired": paired.unpaired})
        if paired.n_pairs:
            yield schema.ModelDifference(
                quantity=mode,
                value=paired.difference,
                method=f"{paired.interval_method}; {paired.test_method}",
                n=paired.n_pairs,
                n_left_out=len(paired.unpaired),
                **paired.model_dump(include={"lower", "upper", "p_value", "level"}),
            )
    changes, from_changes = changes_by_prompt(one), changes_by_prompt(other)
    if shared := sorted(changes.keys() & from_changes):
        values = [100 * (changes[prompt] - from_changes[prompt]) for prompt in shared]
        mean, how = mean_by_prompt(values, reach=200.0, level=level, sequential=sequential)
        prompts = {p for arms in (one, other) for arm in arms.values() for p in arm}
        yield schema.ModelDifference(
            quantity="change",
            method=f"difference of differences: {how}",
            n_left_out=len(prompts) - len(shared),
            **mean,
        )


def _adjust(against: _Differences) -> _Differences:
    """Add Holm's p values over the models, for each quantity apart."""
    p_values: dict[schema.Quantity, dict[str, float]] = defaultdict(dict)
    for model, differences in against.items():
        for each in differences:
            if each.p_value is not None:
                p_values[each.quantity][model] = each.p_value
    adjusted = {
        name: statistics.holm(values) for name, values in p_values.items() if len(values) > 1
    }
    return {
        model: tuple(
            each.model_copy(update={"p_holm": adjusted.get(each.quantity, {}).get(model)})
            for each in differences
        )
        for model, differences in against.items()
    }


def _remarks(
    cards: Mapping[str, Card], sets: Sequence[schema.SetComparison], *, paired: bool
) -> Iterator[str]:
    """Sets that not all models have, prompts, arms and settings that differ, modes that are not verified."""
    if not paired:
        yield _NOT_PAIRED
    for each in sets:
        rates = [(row.figures.think, row.figures.no_think) for row in each.rows]
        counts = {max((rate.n_prompts for rate in both if rate), default=0) for both in rates}
        if not paired and len(counts) > 1:
            numbers = " and ".join(map(str, sorted(counts)))
            yield f"{each.dataset}: not the same prompts: {numbers} were asked"
        if missing := [model for model in cards if model not in {row.model for row in each.rows}]:
            yield f"{each.dataset}: not run on {', '.join(missing)}"
        kinds = {row.arm_kind for row in each.rows}
        if len(kinds) > 1:
            yield f"{each.dataset}: modes were brought about differently ({', '.join(sorted(kinds))})"
        if any(row.figures.only_mode for row in each.rows):
            yield f"{each.dataset}: {only_mode_sentence(each.kind)}"
        for row in each.rows:
            if not row.verified:
                yield f"{each.dataset}: the modes of {row.model} are not verified"
    every_run = [run for card in cards.values() for run in card.runs]
    for dataset in sorted({run.dataset for run in every_run}):
        runs = [run for run in every_run if run.dataset == dataset]
        sources = [run.provenance.files for run in runs if run.provenance]
        if not paired and len({frozenset(f.sha256 for f in files) for files in sources}) > 1:
            yield f"{dataset}: the prompts come from different files"
        for name in ("answer_tokens", "thinking_tokens", "epochs", "doses"):
            values = {_setting(card, dataset, name) for card in cards.values()} - {""}
            if len(values) > 1:
                yield f"{dataset}: {name} differ between models ({', '.join(sorted(values))})"
        if len({_decoding(card, dataset) for card in cards.values()} - {""}) > 1:
            yield f"{dataset}: decoding differs between models"


def _setting(card: Card, dataset: str, name: str) -> str:
    """A setting of all of a card's runs of a set; empty without runs."""
    values = {getattr(run, name) for run in card.runs if run.dataset == dataset}
    texts = (
        "-".join(value) or "two modes" if isinstance(value, tuple) else str(value)
        for value in values
    )
    return " and ".join(sorted(texts))


def _decoding(card: Card, dataset: str) -> str:
    """How a set was decoded in all of a card's runs: those of one mode each tell of their own; empty without runs."""
    runs = [run.decoding for run in card.runs if run.dataset == dataset]
    return str(sorted({item for decoding in runs for item in decoding.items()})) if runs else ""
