"""What a comparison found, in one sentence: how the models differ from the reference with thinking.

The sentence follows the intervals and, among several models, Holm's p values. It says so where nothing is shown, and where
modes are not verified. That models are not paired is said once, among the comparison's remarks.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rim_eval import plots
from rim_eval.comparison.schema import ModelDifference, ModelRow, Quantity, SetComparison
from rim_eval.formatting import KIND_WORDS, figure_text
from rim_eval.plots import State

_WHERE: Final[dict[Quantity, str]] = {
    "think": "With thinking",
    "no_think": "Without thinking",
    "change": "In the change with thinking",
}
_HEADLINE: Final[tuple[Quantity, ...]] = ("think", "no_think")
"""The rate with thinking; without thinking where a judge can read no other."""


class Finding(NamedTuple):
    """A comparison in words."""

    sentence: str
    """The finding."""
    details: tuple[str, ...] = ()
    """The same for the quantities that the sentence leaves out."""


class _Compared(NamedTuple):
    """One model's difference from the reference and what it shows."""

    model: str
    difference: ModelDifference
    state: State


def find(each: SetComparison | None, reference: str, *, paired: bool) -> Finding:
    """Say what a set shows of models against the reference, or of one model against its own no-think mode.

    Args:
        each: The set; None where there is none.
        reference: Name of the reference.
        paired: Whether models are compared prompt by prompt.
    """
    row = each.row(reference) if each else None
    if each is None or row is None:
        return Finding("Nothing is shown: there is no set to compare.")
    others = [other for other in each.rows if other.against]
    if not others:
        return Finding(_alone(each, row))
    unverified = [other.model for other in (row, *others) if not other.verified]
    if not row.verified or len(unverified) == len(others):
        return Finding(_not_verified(each, unverified))
    quantity = next(q for q in (*_HEADLINE, "change") if any(o.difference(q) for o in others))
    if len(others) == 1:
        sentence = _one(each, _compared(each, others, quantity)[0], reference)
        details = _one_details(each, others, quantity, reference)
    else:
        sentence = _many(each, others, quantity, reference)
        details = _many_details(each, others, quantity, paired=paired)
    return Finding(sentence, tuple(details))


def state_against(each: SetComparison, row: ModelRow, quantity: Quantity, reference: str) -> State:
    """What a model's difference from the reference shows, corrected for the number of models.

    Args:
        each: The set.
        row: The model.
        quantity: What they are compared in.
        reference: Name of the reference.
    """
    difference, base = row.difference(quantity), each.row(reference)
    verified = row.verified and base is not None and base.verified
    return plots.state_of(each.kind, difference.corrected if difference else "unknown", verified)


def headline_quantity(each: SetComparison) -> Quantity:
    """The quantity of the finding: the rate with thinking where it is compared."""
    compared = {difference.quantity for row in each.rows for difference in row.against}
    return next((q for q in _HEADLINE if q in compared), "change")


def _compared(
    each: SetComparison, others: Sequence[ModelRow], quantity: Quantity
) -> list[_Compared]:
    return [
        _Compared(other.model, found, plots.state_of(each.kind, found.corrected, other.verified))
        for other in others
        if (found := other.difference(quantity))
    ]


def _alone(each: SetComparison, row: ModelRow) -> str:
    change = row.figures.difference
    ends = change.estimate if change else None
    if not row.verified:
        return _not_verified(each, [row.model])
    if change is None or ends is None:
        return (
            f"{row.model}: one mode was scored on {each.dataset}, so there is nothing to compare."
        )
    state = plots.state_of(each.kind, change.significance)
    figure = _write(each, ends, change.level, each.dataset)
    if state in ("worse", "better"):
        return f"{row.model} is {state} with thinking than without: {figure}."
    return f"No change with thinking is shown for {row.model}: {figure}."


def _one(each: SetComparison, found: _Compared, reference: str) -> str:
    where = _WHERE[found.difference.quantity]
    figure = _figure(each, found.difference, each.dataset)
    if found.state in ("worse", "better"):
        return f"{where}, {found.model} is {found.state} than {reference}: {figure}."
    return f"{where}, {found.model} is not shown to differ from {reference}: {figure}."


def _many(
    each: SetComparison,
    others: Sequence[ModelRow],
    quantity: Quantity,
    reference: str,
) -> str:
    """Counts of both directions, and the largest difference that is shown."""
    compared = _compared(each, [other for other in others if other.verified], quantity)
    if not compared:
        return (
            f"{_WHERE[quantity]}, none of {len(others)} models could be compared with {reference}."
        )
    shown = [found for found in compared if found.state in ("worse", "better")]
    worse = [found for found in shown if found.state == "worse"]
    largest = max(worse or shown or compared, key=lambda found: abs(found.difference.value))
    if shown:
        counts = f"{_count(len(worse), f' of {len(others)} models')} worse than {reference} and {_count(len(shown) - len(worse))} better"
        word = "most of all"
    else:
        counts = f"none of {len(others)} models is shown to differ from {reference}"
        word = "the largest difference is that of"
    unverified = sum(not other.verified for other in others)
    left = f", {unverified} not verified" if unverified else ""
    figure = _figure(each, largest.difference, each.dataset)
    return f"{_WHERE[quantity]}, {counts}{left}; {word} {largest.model}: {figure}."


def _one_details(
    each: SetComparison, others: Sequence[ModelRow], quantity: Quantity, reference: str
) -> Iterator[str]:
    for other in _other_quantities(quantity):
        for found in _compared(each, others, other):
            state = "no difference is shown" if found.state == "not significant" else found.state
            if other == "change":
                yield f"What thinking adds, {found.model} minus {reference}: {state}, {_figure(each, found.difference)}."
            else:
                yield f"{_WHERE[other]}: {state}, {_figure(each, found.difference)}."


def _many_details(
    each: SetComparison, others: Sequence[ModelRow], quantity: Quantity, *, paired: bool
) -> Iterator[str]:
    for other in _other_quantities(quantity):
        states = [found.state for found in _compared(each, others, other)]
        if states:
            counts = f"{states.count('worse')} worse, {states.count('better')} better, {states.count('not significant')} not shown to differ"
            yield f"{_WHERE[other]}: {counts}."
    if paired:
        yield f"Each count is corrected for {len(others)} comparisons (Holm); the intervals are not."
    else:
        yield f"Cards have no test: nothing is corrected for {len(others)} comparisons, so some may differ by chance."


def _other_quantities(quantity: Quantity) -> Iterator[Quantity]:
    return (each for each in ("no_think", "change") if each != quantity)


def _not_verified(each: SetComparison, models: Sequence[str]) -> str:
    listed = " and ".join(models) if len(models) < 3 else f"{len(models)} models"
    return f"Nothing is shown on {each.dataset}: the modes of {listed} are not verified."


def _figure(each: SetComparison, found: ModelDifference, *details: str) -> str:
    return _write(each, (found.value, found.lower, found.upper), found.level, *details)


def _write(
    each: SetComparison, ends: tuple[float, float, float], level: float, *details: str
) -> str:
    unit = f" points of {KIND_WORDS[each.kind].rate.lower()}"
    return figure_text(*ends, *details, unit=unit, level=level)


def _count(n: int, of: str = "") -> str:
    return f"{n or 'none'}{of} {'is' if n < 2 else 'are'}"
