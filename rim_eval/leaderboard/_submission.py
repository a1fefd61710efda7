"""From a card to a submission: the same figures without the sentences."""

import re
from pathlib import Path

from rim_eval.card import Card, card_json
from rim_eval.errors import RimError
from rim_eval.leaderboard._entry import ModelFile

__all__ = ["add_card", "slug"]


def slug(name: str) -> str:
    """A name as a folder or file may be called."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"


def add_card(card: Card, model: ModelFile, results: Path, name: str) -> Path:
    """Write a card into its model's folder, with `model.json` beside it.

    Sentences about problems are emptied, their kinds and numbers stay; what was found inside the model
    is left out, because it does not follow from counts.

    Args:
        card: What was measured.
        model: About the model.
        results: Folder of all models.
        name: File name of the card without ending, such as `hexphi-gpt41-2026-11`.

    Returns:
        The card's file.

    Raises:
        RimError: There is a card of that name, or the folder belongs to another model.
    """
    folder = results / slug(model.model)
    about, file = folder / "model.json", folder / f"{slug(name)}.json"
    text = model.model_dump_json(indent=1, exclude_none=True) + "\n"
    if about.exists() and about.read_text(encoding="utf-8") != text:
        raise RimError(
            f"{about} says otherwise; edit it, or give the same --family, --developer ..."
        )
    if file.exists():
        raise RimError(f"{file} exists; give another --name.")
    folder.mkdir(parents=True, exist_ok=True)
    about.write_text(text, encoding="utf-8")
    file.write_text(card_json(_without_sentences(card)), encoding="utf-8")
    return file


def _without_sentences(card: Card) -> Card:
    problems = tuple(problem.model_copy(update={"says": ""}) for problem in card.problems)
    return card.model_copy(update={"problems": problems, "mechanisms": None})
