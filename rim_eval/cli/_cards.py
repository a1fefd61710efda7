"""RIM cards among the sources that a command is given."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.card import Card

__all__ = ["is_card", "named_cards", "read_sound_card"]


def is_card(path: str) -> bool:
    """Whether a path is to be read as a card: a JSON file that is no log of Inspect's."""
    file = Path(path)
    if file.suffix != ".json" or not file.is_file():
        return file.suffix == ".json"
    with file.open(encoding="utf-8", errors="replace") as text:
        return '"eval":' not in text.read(400)


def read_sound_card(path: str) -> "Card":
    """A card whose figures follow from its counts.

    Raises:
        RimError: It is no card, or its figures do not follow from its counts.
    """
    from rim_eval.card import check_card, read_card

    card = read_card(Path(path))
    if wrong := check_card(card):
        raise RimError(f"{path}: {wrong[0]}. Make the card again from its logs.")
    return card


def named_cards(sources: Sequence[tuple[str | None, str]]) -> "dict[str, Card]":
    """Cards by the name given, or their model's.

    Raises:
        RimError: A card is not sound, or two of them go by one name.
    """
    found: dict[str, Card] = {}
    for label, path in sources:
        card = read_sound_card(path)
        name = label or card.model
        if name in found:
            raise RimError(
                f"Two cards are of {name}: name them apart, such as base={path} tuned=other/card.json."
            )
        found[name] = card
    return found
