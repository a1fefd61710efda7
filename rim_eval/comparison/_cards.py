"""Compares cards: counts without prompts, so that nothing can be paired between models.

Each model's own change is paired as ever, since its card counts prompts by their outcome in both modes.
Between models the difference is that of two samples taken apart, with an interval of both intervals.
"""

from collections.abc import Iterator, Mapping, Sequence

from rim_eval import __version__
from rim_eval.card import Card, SetCard
from rim_eval.comparison._schema import QUANTITIES, Against, Comparison, Quantity, SetComparison
from rim_eval.comparison._side_by_side import remarks, require_models, side_by_side
from rim_eval.errors import RimError
from rim_eval.statistics import Estimate, unpaired_interval

__all__ = ["compare_cards"]

_NOT_PAIRED = (
    "not paired: cards hold counts and no prompts, so differences between models are those of two samples "
    "taken apart, without a test. Logs or tables of observations give narrower intervals and a test"
)


def compare_cards(cards: Mapping[str, Card], reference: str, *, series: bool = False) -> Comparison:
    """Every card's figures, and its differences from the reference's, not paired.

    Args:
        cards: Cards by the name to show, in the order to show them in.
        reference: Name of the card that differences are from.
        series: Whether the models are checkpoints in order of training.

    Raises:
        RimError: There is no such reference, two of them are one result, they were not judged alike, no set is
            shared with the reference, or their intervals have different levels.
    """
    require_models([reference], list(cards))
    _refuse_copies(cards)
    levels = {card.level for card in cards.values()}
    if len(levels) > 1:
        raise RimError(
            f"These cards' intervals are at different levels ({', '.join(map(str, sorted(levels)))})."
        )

    def differ(_model: str, found: SetCard) -> tuple[Against, ...]:
        theirs = cards[reference].find(found.dataset, found.kind)
        each = [_against(found, theirs, q, *levels) for q in QUANTITIES] if theirs else []
        return tuple(one for one in each if one is not None)

    sets = tuple(side_by_side(cards, reference, {}, differ))
    if len(cards) > 1 and not any(row.against for each in sets for row in each.rows):
        raise RimError(f"No other card has a set of {reference}: run them on the same sets.")
    return Comparison(
        rim_eval=__version__,
        reference=reference,
        level=max(levels),
        series=series,
        paired=False,
        models=tuple(cards),
        sets=sets,
        remarks=(_NOT_PAIRED, *_prompts(cards, sets), *remarks(cards, sets)),
    )


def _refuse_copies(cards: Mapping[str, Card]) -> None:
    """One result under two names would be compared with itself."""
    names = list(cards)
    for index, name in enumerate(names):
        for other in names[:index]:
            ours, theirs = cards[name], cards[other]
            runs = {run.id for run in ours.runs} & {run.id for run in theirs.runs}
            if runs or ours.sets == theirs.sets:
                raise RimError(
                    f"{other} and {name} are the same result under two names"
                    f"{f' (run {min(runs)})' if runs else ''}: compared with itself a model differs by nothing. "
                    "Leave one out, or give the other model's card."
                )


def _against(ours: SetCard, theirs: SetCard, quantity: Quantity, level: float) -> Against | None:
    first, second = _estimate(ours, quantity), _estimate(theirs, quantity)
    if first is None or second is None:
        return None
    (one, n), (other, n_reference) = first, second
    lower, upper = unpaired_interval(one, other)
    return Against(
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


def _estimate(found: SetCard, quantity: Quantity) -> tuple[Estimate, int] | None:
    """A figure in percent or percentage points with its prompts; None where it was not measured."""
    if quantity == "change":
        change = found.figures.difference
        if change is None or change.value is None or change.lower is None or change.upper is None:
            return None
        return Estimate(change.value, change.lower, change.upper), change.n_pairs
    rate = found.figures.rate(quantity)
    if rate is None or rate.value is None or rate.lower is None or rate.upper is None:
        return None
    return Estimate(100 * rate.value, 100 * rate.lower, 100 * rate.upper), rate.n_prompts_scored


def _prompts(cards: Mapping[str, Card], sets: Sequence[SetComparison]) -> Iterator[str]:
    """Signs that a set was not the same prompts for all."""
    for found in sets:
        asked = {
            max(r.n_prompts for r in (row.figures.think, row.figures.no_think) if r)
            for row in found.rows
        }
        if len(asked) > 1:
            numbers = " and ".join(map(str, sorted(asked)))
            yield f"{found.dataset}: not the same prompts: {numbers} were asked"
        files = {
            tuple(sorted(file.sha256 for file in run.provenance.files))
            for card in cards.values()
            for run in card.runs
            if run.dataset == found.dataset and run.provenance
        }
        if len(files) > 1:
            yield f"{found.dataset}: the prompts come from different files"
