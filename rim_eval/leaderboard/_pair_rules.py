"""Pairs of harmful prompts and look-alikes: those of the catalogue, all of them, each prompt once."""

from collections import Counter
from collections.abc import Iterator

from rim_eval.card import Card, SetCard
from rim_eval.prompt_sets import entries

__all__ = ["pair_problems"]


def pair_problems(card: Card) -> Iterator[str]:
    """What keeps a card's discrimination figures, or their absence, off the leaderboard."""
    shown = {(each.harmful, each.benign) for each in card.discrimination}
    paired = {
        (harmful.dataset, benign.dataset): (harmful, benign)
        for harmful in card.of_kind("harmful")
        for benign in card.of_kind("benign")
        if _are_paired(harmful.dataset, benign.dataset)
    }
    for name in sorted(shown - set(paired)):
        yield f"discrimination: the catalogue pairs no prompts of {name[0]} and {name[1]}"
    for name in sorted(set(paired) - shown):
        if _surely_complete(*paired[name]):
            yield (
                f"discrimination of {name[0]} and {name[1]} is left out; make the card from logs "
                "whose prompts know their partners (both sets in one data folder)"
            )
    yield from _whole(card, paired)


def _are_paired(harmful: str, benign: str) -> bool:
    known = entries().get(harmful)
    if known is None or known.pairing is None:
        return False
    partner = known.pairing.partner if known.pairing.rule == "same_key" else None
    return (partner or harmful) == benign


def _whole(card: Card, paired: dict[tuple[str, str], tuple[SetCard, SetCard]]) -> Iterator[str]:
    for shown in card.discrimination:
        if (shown.harmful, shown.benign) not in paired:
            continue
        harmful, benign = paired[shown.harmful, shown.benign]
        expected, pairs = _pairs(harmful, benign), sum(cell.pairs for cell in shown.cells)
        place = f"discrimination of {shown.harmful} and {shown.benign}"
        if pairs != expected:
            yield f"{place}: {pairs} pairs, the catalogue has {expected}"
        held: Counter[object] = Counter()
        for cell in shown.cells:
            held[cell.benign] += cell.pairs
        for each in benign.counts.cells:
            held[each.think, each.no_think] -= each.prompts
        if any(n > 0 for n in held.values()):
            yield f"{place}: its pairs hold other outcomes than the cells of {shown.benign}"


def _pairs(harmful: SetCard, benign: SetCard) -> int:
    """Every prompt of the smaller side has one partner: so it is in all paired sets of the catalogue."""
    return min(sum(cell.prompts for cell in each.counts.cells) for each in (harmful, benign))


def _surely_complete(harmful: SetCard, benign: SetCard) -> bool:
    """Whether at least one pair was scored in all four places, however the unscored ones lie."""
    gaps = sum(
        cell.prompts
        for each in (harmful, benign)
        for cell in each.counts.cells
        if not (cell.think.scored and cell.no_think.scored)
    )
    return gaps < _pairs(harmful, benign)
