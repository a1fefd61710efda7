"""Differences between two models, paired prompt by prompt or from their cards, and means over a family."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rim_eval.card import SetCard
from rim_eval.comparison._schema import QUANTITIES, FamilyMean, ModelDifference, Quantity
from rim_eval.statistics import (
    Estimate,
    Verdicts,
    interval_by_prompt,
    paired_difference,
    sign_flip_test,
    unpaired_interval,
)
from rim_eval.types import Mode, PromptKind

if TYPE_CHECKING:
    import pandas as pd


ArmVerdicts = Mapping[Mode, Verdicts]
"""Verdicts of one model on one set by mode, then by prompt id, in epoch order."""

SetVerdicts = Mapping[tuple[str, str, PromptKind], ArmVerdicts]
"""Verdicts by (model, dataset, kind); empty where there are none."""


def verdicts_by_set(frame: "pd.DataFrame") -> SetVerdicts:
    """Collect the verdicts of every model on every set from observations."""
    sets: dict[Any, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    columns = ["model", "dataset", "kind", "mode", "prompt_id", "verdict"]
    ordered = frame.sort_values("epoch")[columns].astype("object")
    for model, dataset, kind, mode, prompt, verdict in ordered.itertuples(index=False):
        scored = float(verdict) if verdict is True or verdict is False else None
        sets[model, dataset, kind][mode][str(prompt)].append(scored)
    return sets


def paired_differences(
    model: ArmVerdicts, reference: ArmVerdicts, names: tuple[str, str], level: float
) -> Iterator[ModelDifference]:
    """Compare two models on the prompts that both were scored on; nothing without such prompts.

    The rate in a mode is compared as any two arms are. The change is compared by the difference of
    differences of each prompt, (think - no-think) of the model minus the same of the reference, with
    a bootstrap by prompt and a sign-flip test.

    Args:
        model: Verdicts of the model.
        reference: Verdicts of the reference on the same set.
        names: What the two are called.
        level: Confidence of the intervals.
    """
    for mode in ("no_think", "think"):
        if mode in model and mode in reference:
            yield from _rate_difference(mode, model[mode], reference[mode], names, level)
    yield from _change_difference(model, reference, level)


def unpaired_differences(
    model: SetCard, reference: SetCard, level: float
) -> Iterator[ModelDifference]:
    """Compare two models by the figures of their cards, as two independent samples without a test.

    The interval is combined from both models' own ones (Newcombe; Zou and Donner).

    Args:
        model: The model's card of a set.
        reference: The reference's card of the same set.
        level: Confidence of the cards' intervals.
    """
    for quantity in QUANTITIES:
        first, second = _estimate(model, quantity), _estimate(reference, quantity)
        if first is None or second is None:
            continue
        (one, n), (other, n_reference) = first, second
        lower, upper = unpaired_interval(one, other)
        yield ModelDifference(
            quantity=quantity,
            value=one.value - other.value,
            lower=lower,
            upper=upper,
            p_value=None,
            method="not paired: from both intervals (Newcombe; Zou and Donner); no test",
            n=n,
            n_reference=n_reference,
            n_left_out=0,
            level=level,
        )


def family_mean(family: str, models: Mapping[str, ArmVerdicts], level: float) -> FamilyMean | None:
    """Average the change with thinking over models; None without a shared prompt.

    The models are taken as they are, the prompts as drawn: the interval says what other prompts would
    change, not what other models would.

    Args:
        family: Name of the family.
        models: Verdicts of its models on one set, by name.
        level: Confidence of the interval.
    """
    changes = [_changes(verdicts) for verdicts in models.values()]
    shared = sorted(set.intersection(*(set(each) for each in changes))) if changes else []
    if not shared:
        return None
    values = [100 * math.fsum(each[p] for each in changes) / len(changes) for p in shared]
    mean, _ = _mean_by_prompt(values, reach=100.0, level=level)
    return FamilyMean(family=family, models=tuple(models), **mean)


def _rate_difference(
    mode: Mode, model: Verdicts, reference: Verdicts, names: tuple[str, str], level: float
) -> Iterator[ModelDifference]:
    paired = paired_difference(
        model, reference, target_name=names[0], reference_name=names[1], level=level
    )
    if paired.n_pairs:
        yield ModelDifference(
            quantity=mode,
            value=paired.difference,
            lower=paired.lower,
            upper=paired.upper,
            p_value=paired.p_value,
            method=f"{paired.interval_method}; {paired.test_method}",
            n=paired.n_pairs,
            n_left_out=len(paired.unpaired),
            level=level,
        )


def _change_difference(
    model: ArmVerdicts, reference: ArmVerdicts, level: float
) -> Iterator[ModelDifference]:
    first, second = _changes(model), _changes(reference)
    if shared := sorted(first.keys() & second):
        values = [100 * (first[prompt] - second[prompt]) for prompt in shared]
        mean, how = _mean_by_prompt(values, reach=200.0, level=level)
        prompts = {p for arms in (model, reference) for arm in arms.values() for p in arm}
        yield ModelDifference(
            quantity="change",
            method=f"difference of differences: {how}; sign-flip permutation by prompt",
            n_left_out=len(prompts) - len(shared),
            **mean,
        )


def _mean_by_prompt(
    values: Sequence[float], *, reach: float, level: float
) -> tuple[dict[str, Any], str]:
    """Mean of one value a prompt with interval, test and n, and the interval's method."""
    (lower, upper), how = interval_by_prompt(values, reach=reach, level=level)
    mean, p_value = math.fsum(values) / len(values), sign_flip_test(values).p_value
    fields = {"value": mean, "lower": lower, "upper": upper, "p_value": p_value}
    return {**fields, "n": len(values), "level": level}, how


def _changes(arms: ArmVerdicts) -> dict[str, float]:
    """Think minus no-think of every prompt that is a pair."""
    think, no_think = _means(arms.get("think", {})), _means(arms.get("no_think", {}))
    return {prompt: think[prompt] - no_think[prompt] for prompt in think.keys() & no_think}


def _means(verdicts: Verdicts) -> dict[str, float]:
    scored = {p: [v for v in epochs if v is not None] for p, epochs in verdicts.items()}
    return {prompt: math.fsum(epochs) / len(epochs) for prompt, epochs in scored.items() if epochs}


def _estimate(card: SetCard, quantity: Quantity) -> tuple[Estimate, int] | None:
    """A figure in percent or percentage points with its prompts; None where it was not measured."""
    if quantity == "change":
        change = card.figures.difference
        return (change.estimate, change.n_pairs) if change and change.estimate else None
    rate = card.figures.rate(quantity)
    return (rate.estimate, rate.n_prompts_scored) if rate and rate.estimate else None
