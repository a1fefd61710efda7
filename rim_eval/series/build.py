"""From the observations of a series to its report: each model against the base, and the trend over training."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise

from rim_eval import statistics
from rim_eval._version import __version__
from rim_eval.comparison import compare
from rim_eval.comparison.build import verdicts_by_set
from rim_eval.comparison.changes import SetVerdicts, changes_by_prompt
from rim_eval.comparison.schema import QUANTITIES, Quantity, SetComparison
from rim_eval.errors import RimError
from rim_eval.observations import Table
from rim_eval.series.schema import SeriesReport, SeriesTrend
from rim_eval.statistics import Verdicts

_LEAST_MODELS = 3
"""The trend over two models is their difference."""


def build_series(
    table: Table,
    labels: Sequence[str],
    *,
    steps: Sequence[float] | None = None,
    level: float = 0.95,
) -> SeriesReport:
    """Compare every model with the first one, prompt by prompt, and find the trend over all of them.

    Args:
        table: Observations of the models that are finished, named by their labels.
        labels: Labels of all models in the order of training; the first one is the reference.
        steps: Training steps of all models, increasing; equal steps unless given.
        level: Confidence of all intervals, a fraction.

    Raises:
        RimError: The first model is not among the observations, the models were not judged alike, or the steps do not
            increase.
    """
    order = [label for label in labels if label in table.models]
    if labels[0] not in order:
        raise RimError(
            f"There is nothing to compare with: {labels[0]}, the base of the series, is not finished. Give the same "
            "command again."
        )
    comparison = compare(table, labels[0], models=order, series=True, level=level)
    verdicts = verdicts_by_set(table.frame)
    # A trend has no interval that holds at every look.
    sequential = set(table.frame[table.frame["sequential"]]["dataset"].astype(str))
    place = dict(zip(labels, check_steps(steps, labels), strict=True)) if steps else {}
    return SeriesReport(
        rim_eval=__version__,
        comparison=comparison,
        trends=tuple(
            trend
            for each in comparison.sets
            if each.dataset not in sequential
            for trend in _trends(each, verdicts[each.dataset, each.kind], order, place, level)
        ),
        steps=tuple(place[label] for label in order) if place else None,
        left_out=tuple(label for label in labels if label not in order),
    )


def check_steps(steps: Sequence[float], labels: Sequence[str]) -> Sequence[float]:
    """Return training steps that fit a series.

    Args:
        steps: One for each model.
        labels: The models in the order of training.

    Raises:
        RimError: They are too few or too many, or do not increase.
    """
    if len(steps) != len(labels) or any(b <= a for a, b in pairwise(steps)):
        given = ", ".join(f"{step:g}" for step in steps)
        raise RimError(
            f"--steps {given}: give {len(labels)} increasing numbers, one for each of {', '.join(labels)}, the base first."
        )
    return steps


def _trends(
    each: SetComparison,
    verdicts: SetVerdicts,
    order: Sequence[str],
    place: Mapping[str, float],
    level: float,
) -> Iterator[SeriesTrend]:
    """The trends of one set: the rate in either mode, and the change with thinking."""
    only_modes = {row.figures.only_mode for row in each.rows} - {None}
    for quantity in QUANTITIES:
        if only_modes and quantity not in only_modes:
            continue
        arms = {label: _arm(verdicts, label, quantity) for label in order if label in verdicts}
        if len(arms) < _LEAST_MODELS or not all(arms.values()):
            continue
        if trend := _trend(arms, each, quantity, place, level):
            yield trend


def _arm(verdicts: SetVerdicts, label: str, quantity: Quantity) -> Verdicts:
    """One model's value of a quantity by prompt, each from 0 to 1."""
    if quantity != "change":
        return verdicts[label].get(quantity, {})
    # A change is from -1 to 1; `_trend` undoes this.
    changes = changes_by_prompt(verdicts[label])
    return {prompt: [(change + 1) / 2] for prompt, change in changes.items()}


def _trend(
    arms: Mapping[str, Verdicts],
    each: SetComparison,
    quantity: Quantity,
    place: Mapping[str, float],
    level: float,
) -> SeriesTrend | None:
    trend = statistics.paired_trend(
        arms, scores=[place[label] for label in arms] if place else None, level=level
    )
    if not trend.n_blocks:
        return None
    scale = 2 if quantity == "change" else 1
    prompts = set(chain.from_iterable(arms.values()))
    return SeriesTrend(
        dataset=each.dataset,
        kind=each.kind,
        quantity=quantity,
        value=scale * trend.trend,
        lower=scale * trend.lower,
        upper=scale * trend.upper,
        p_value=trend.p_value,
        n=trend.n_blocks,
        n_left_out=len(prompts) - trend.n_blocks,
        level=level,
        method=f"{trend.interval_method}; {trend.test_method}",
    )
