"""From the observations of a series to its report: each model against the base, and the trend over training."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from rim_eval import statistics
from rim_eval._version import __version__
from rim_eval.comparison import compare
from rim_eval.comparison.build import SetVerdicts, changes_by_prompt, verdicts_by_set
from rim_eval.comparison.schema import QUANTITIES, Quantity, SetComparison
from rim_eval.errors import RimError
from rim_eval.observations import Table
from rim_eval.series.schema import SeriesReport, Trend
from rim_eval.statistics import Verdicts

_LEAST_MODELS = 3
"""The trend over two models is their difference."""


def build_series(table: Table, labels: Sequence[str], level: float = 0.95) -> SeriesReport:
    """Compare every model with the first one, prompt by prompt, and find the trend over all of them.

    Args:
        table: Observations of the models that are finished, named by their labels.
        labels: Labels of all models in the order of training; the first one is the reference.
        level: Confidence of all intervals, a fraction.

    Raises:
        RimError: The first model is not among the observations, or the models were not judged alike.
    """
    order = [label for label in labels if label in table.models]
    if labels[0] not in order:
        raise RimError(
            f"There is nothing to compare with: {labels[0]}, the base of the series, is not finished. Give the same "
            "command again."
        )
    comparison = compare(table, labels[0], models=order, series=True, level=level)
    verdicts = verdicts_by_set(table.frame)
    return SeriesReport(
        rim_eval=__version__,
        comparison=comparison,
        trends=tuple(
            trend
            for each in comparison.sets
            for trend in _trends(each, verdicts[each.dataset, each.kind], order, level)
        ),
        left_out=tuple(label for label in labels if label not in order),
    )


def _trends(
    each: SetComparison, verdicts: SetVerdicts, order: Sequence[str], level: float
) -> Iterator[Trend]:
    """The trends of one set: the rate in either mode, and the change with thinking."""
    only_modes = {row.figures.only_mode for row in each.rows} - {None}
    for quantity in QUANTITIES:
        if only_modes and quantity not in only_modes:
            continue
        arms = {label: _arm(verdicts, label, quantity) for label in order if label in verdicts}
        if len(arms) < _LEAST_MODELS or not all(arms.values()):
            continue
        if trend := _trend(arms, each, quantity, level):
            yield trend


def _arm(verdicts: SetVerdicts, label: str, quantity: Quantity) -> Verdicts:
    """One model's value of a quantity by prompt, each from 0 to 1."""
    if quantity != "change":
        return verdicts[label].get(quantity, {})
    # A change is from -1 to 1; `_trend` undoes this.
    changes = changes_by_prompt(verdicts[label])
    return {prompt: [(change + 1) / 2] for prompt, change in changes.items()}


def _trend(
    arms: Mapping[str, Verdicts], each: SetComparison, quantity: Quantity, level: float
) -> Trend | None:
    trend = statistics.paired_trend(arms, level=level)
    if not trend.n_blocks:
        return None
    scale = 2 if quantity == "change" else 1
    prompts = set(chain.from_iterable(arms.values()))
    return Trend(
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
