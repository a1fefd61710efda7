"""Whether pairs of harmful prompts and their look-alikes can be those of the two sets on the card."""

from collections import Counter
from collections.abc import Iterator

from rim_eval.card._derived import discrimination_card
from rim_eval.card._differ import differ
from rim_eval.card._schema import Card, DiscriminationCard, SetCard
from rim_eval.results.counts import Outcome

__all__ = ["pair_problems"]

_Outcomes = Counter[tuple[Outcome, Outcome]]


def pair_problems(card: Card) -> Iterator[str]:
    """What is wrong with the discrimination figures of a card."""
    named = [(each.harmful, each.benign) for each in card.discrimination]
    if len(set(named)) < len(named):
        yield "discrimination stands there twice for one pair of sets"
    for shown in card.discrimination:
        wrong = list(_margins(card, shown))
        yield from wrong
        if not wrong:  # Pairs beyond the sets' prompts may be so many that computing takes hours.
            again = discrimination_card(shown.harmful, shown.benign, shown.cells, card.level)
            yield from differ("discrimination", shown, again)


def _margins(card: Card, shown: DiscriminationCard) -> Iterator[str]:
    place = f"discrimination of {shown.harmful} and {shown.benign}"
    left, right = card.find(shown.harmful, "harmful"), card.find(shown.benign, "benign")
    if left is None or right is None:
        yield f"{place}: this card has no such sets"
        return
    harmful, benign = _Outcomes(), _Outcomes()
    for cell in shown.cells:
        harmful[cell.harmful] += cell.pairs
        benign[cell.benign] += cell.pairs
    if not harmful <= _outcomes(left):
        yield f"{place}: its pairs hold other outcomes than the cells of {shown.harmful}"
    # A look-alike may be the partner of several harmful prompts, so only its outcome must be there.
    if set(benign) - set(_outcomes(right)):
        yield f"{place}: its pairs hold other outcomes than the cells of {shown.benign}"


def _outcomes(found: SetCard) -> _Outcomes:
    held = _Outcomes()
    for cell in found.counts.cells:
        held[cell.think, cell.no_think] += cell.prompts
    return held
