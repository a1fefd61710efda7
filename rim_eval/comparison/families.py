"""Families of models: the mean change of those that were measured, and what it says of those that were not.

From observations the models are compared prompt by prompt on the prompts that all share. Cards hold counts and no prompts: the
change of each and its interval are enough for a mean over the models, whose intervals are then wider, because nobody knows
how far the models err alike.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from rim_eval import statistics
from rim_eval.card import SetCard
from rim_eval.comparison import schema
from rim_eval.comparison.changes import SetVerdicts, changes_by_prompt, mean_by_prompt
from rim_eval.statistics import Interval
from rim_eval.types import PromptKind

BySet = Mapping[tuple[str, PromptKind], SetVerdicts]
"""Verdicts by set and kind."""


def family_mean(
    family: str, models: SetVerdicts, level: float, *, ordered: bool, sequential: bool
) -> schema.FamilyMean | None:
    """Average the change with thinking over models, on the prompts that all share; None without one.

    Nothing is said of further models where a run could stop early: its change leans to the side on which it stopped.

    Args:
        family: Name.
        models: Verdicts of its models on one set.
        level: Confidence, a fraction.
        ordered: Whether they are checkpoints in the order of training, which stand for no other models.
        sequential: Whether one of the runs could stop early.
    """
    table = _shared_changes(models)
    if not table:
        return None
    values = [math.fsum(row) / len(row) for row in table]
    mean, _ = mean_by_prompt(values, reach=100.0, level=level, sequential=sequential)
    further = None
    if not ordered and not sequential:
        interval = Interval(mean["lower"], mean["upper"])
        further = statistics.random_effects(table, level=level, at_least=interval)
    return schema.FamilyMean(family=family, models=tuple(models), further_models=further, **mean)


def family_mean_of_cards(
    family: str, models: Mapping[str, SetCard], level: float, *, ordered: bool
) -> schema.FamilyMean | None:
    """Average the change with thinking over cards; None where none has one.

    Args:
        family: Name.
        models: Cards of its models on one set.
        level: Confidence of their intervals, a fraction.
        ordered: Whether they are checkpoints in the order of training.
    """
    changes = {model: each.figures.difference for model, each in models.items()}
    found = {model: (c.estimate, c.n_pairs) for model, c in changes.items() if c and c.estimate}
    estimates = [estimate for estimate, _ in found.values() if estimate]
    if not estimates:
        return None
    fewest = min(n for _, n in found.values())
    further = None
    if not ordered and not any(each.counts.sequential for each in models.values()):
        further = statistics.random_effects_of_estimates(estimates, fewest, level=level)
    return schema.FamilyMean(
        family=family,
        models=tuple(found),
        value=math.fsum(each.value for each in estimates) / len(estimates),
        p_value=None,
        n=fewest,
        level=level,
        further_models=further,
        **statistics.mean_of_intervals(estimates)._asdict(),
    )


def families_without_mean(
    sets: Sequence[schema.SetComparison], families: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """A remark for each set on which models of a family were run and the family has no mean.

    Args:
        sets: The sets with their families.
        families: Family name to its models.
    """
    for each in sets:
        models, named = {row.model for row in each.rows}, {mean.family for mean in each.families}
        for name, members in families.items():
            if name not in named and not models.isdisjoint(members):
                yield f"{each.dataset}: no mean of {name}: its models were scored in both modes on no prompt that all share"


def families_over_sets(
    sets: Sequence[schema.SetComparison], verdicts: BySet | None, level: float
) -> Iterator[schema.FamilyOverSets]:
    """Answer for each family and kind over all its sets, where there are two or more and four models.

    A set under a condition (`hexphi+recommended`) asks the prompts of another set once more and is left out.

    Args:
        sets: The sets with their families.
        verdicts: Of all models; None where there are cards only.
        level: Confidence, a fraction.
    """
    names = dict.fromkeys((mean.family, each.kind) for each in sets for mean in each.families)
    for family, kind in names:
        chosen = [
            (each, mean)
            for each in sets
            for mean in each.families
            if (mean.family, each.kind) == (family, kind)
            and mean.further_models is not None
            and "+" not in each.dataset
        ]
        members = [set(mean.models) for _, mean in chosen]
        models = [m for m in chosen[0][1].models if all(m in s for s in members)] if chosen else []
        if len(chosen) > 1 and len(models) >= statistics.LEAST_FAMILY:
            yield _over_sets(family, models, [each for each, _ in chosen], verdicts, level)


def _over_sets(
    family: str,
    models: Sequence[str],
    sets: Sequence[schema.SetComparison],
    verdicts: BySet | None,
    level: float,
) -> schema.FamilyOverSets:
    """One family on several sets of a kind."""
    further = None
    if verdicts is None:
        of_these = _from_cards(models, sets, level)
    else:
        tables = [
            _shared_changes({m: verdicts[each.dataset, each.kind][m] for m in models})
            for each in sets
        ]
        of_these = statistics.random_effects_over_sets(tables, level=level)
        if len(sets) >= statistics.LEAST_FAMILY:
            further = statistics.random_effects_over_sets(tables, further_sets=True, level=level)
    return schema.FamilyOverSets(
        family=family,
        kind=sets[0].kind,
        models=tuple(models),
        datasets=tuple(each.dataset for each in sets),
        these_sets=of_these,
        further_sets=further,
    )


def _from_cards(
    models: Sequence[str], sets: Sequence[schema.SetComparison], level: float
) -> statistics.RandomEffects:
    """Each model's mean over the sets; the prompts of different sets are drawn apart."""
    changes = [{row.model: row.figures.difference for row in each.rows} for each in sets]
    found = [[change[model] for change in changes] for model in models]
    estimates = [
        statistics.independent_mean([c.estimate for c in of_model if c and c.estimate])
        for of_model in found
    ]
    fewest = min(c.n_pairs for of_model in found for c in of_model if c)
    return statistics.random_effects_of_estimates(estimates, fewest, level=level)


def _shared_changes(models: SetVerdicts) -> list[list[float]]:
    """Changes in points of the prompts that all models share, a row a prompt and a column a model."""
    changes = [changes_by_prompt(verdicts) for verdicts in models.values()]
    shared = sorted(set.intersection(*map(set, changes))) if changes else []
    return [[100 * each[prompt] for each in changes] for prompt in shared]
