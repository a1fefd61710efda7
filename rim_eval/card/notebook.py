"""A card inside a notebook: its head, its picture and a line a set.

There is no style sheet and no class name, so nothing leaks into the notebook; ink is the notebook's own, so that it can
be read on light and on dark ones.
"""

from html import escape
from typing import Final

from rim_eval import plots
from rim_eval.card.finding import finding
from rim_eval.card.hero import hero_of, hero_spec
from rim_eval.card.schema import Card
from rim_eval.card.tables import SHORT_HEAD, short_rows
from rim_eval.errors import RimError

NOTEBOOK_LOOK: Final = "--ink:currentColor;--soft:currentColor;--axis:currentColor;--none:currentColor;--grid:#8884;--paper:#0000;--worse:#d9622b;--better:#2f8fd0;max-width:46rem"


def notebook_html(card: Card) -> str:
    """Render a card for a notebook; without a renderer of pictures it has none.

    Args:
        card: The card.
    """
    found = finding(card)
    said = (*found.certainty, found.answer)
    head = f"<p><b>{escape(found.name)}: {escape(found.sentence)}</b></p><p>{escape(' '.join(said))}</p>"
    rows = [("th", SHORT_HEAD), *(("td", row) for row in short_rows(card))]
    cells = ["".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for tag, row in rows]
    table = f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"
    facts = ", ".join(f"{name} {value}" for name, value in found.facts)
    return f'<div style="{NOTEBOOK_LOOK}">{head}{_picture(card)}{table}<p>{escape(facts)}</p></div>'


def _picture(card: Card) -> str:
    hero = hero_of(card, finding(card).state)
    try:
        drawn = plots.svg(hero_spec(hero, plots.NARROW)) if hero else ""
    except RimError:
        return ""
    return f"{drawn}<p>{escape(hero.caption)}</p>" if hero else ""
