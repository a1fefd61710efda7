"""A card as Markdown for a model card, and as one page that needs no script and no network."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rim_eval.card._mechanisms import MechanismsCard, inside_findings, inside_grids
from rim_eval.card._pictures import pictures
from rim_eval.card._schema import Card
from rim_eval.card._view import view
from rim_eval.plotting import Figure

__all__ = ["card_html", "card_markdown", "escape_markdown", "inside_html", "render_page"]

_HERE: Final = Path(__file__).parent
_INSIDE: Final = re.compile(r"\([^()]{1,24}\)|p [=<] |\d %")
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~#!])")


def card_html(card: Card, inside_pictures: Sequence[tuple[str, Figure]] = ()) -> str:
    """One self-contained page.

    Args:
        card: The card.
        inside_pictures: Pictures of its section on the inside of the model; the card itself holds
            that section's figures, but not all that is drawn.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    return render_page(
        "card.html.jinja",
        view=view(card),
        pictures=pictures(card),
        inside_pictures=inside_pictures,
        **_inside(card.mechanisms),
    )


def inside_html(found: MechanismsCard, inside_pictures: Sequence[tuple[str, Figure]] = ()) -> str:
    """The section on the inside of the model as a page of its own."""
    return render_page("inside_page.html.jinja", inside_pictures=inside_pictures, **_inside(found))


def _inside(found: MechanismsCard | None) -> dict[str, Any]:
    said, grids = (inside_findings(found), inside_grids(found)) if found else ((), ())
    return {"inside": found, "inside_findings": said, "inside_grids": grids}


def card_markdown(card: Card) -> str:
    """Markdown to paste into a model card."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined, autoescape=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"md": escape_markdown, "code": _code}
    text = environment.get_template("card.md.jinja").render(
        view=view(card), **_inside(card.mechanisms)
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_page(template: str, **values: Any) -> str:
    """A page of this folder; everything but pictures is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), undefined=StrictUndefined, autoescape=True
    )
    environment.filters["tight"] = _tight
    return environment.get_template(template).render(**values)


def _tight(text: str) -> str:
    """A table's cell that breaks between figures and not inside them."""
    return _INSIDE.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def escape_markdown(text: str) -> str:
    """Text that Markdown and the HTML in it show as it stands."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", plain)


def _code(text: str) -> str:
    """A command inside a fenced block: it cannot end the block."""
    return text.replace("```", "` ` `")
