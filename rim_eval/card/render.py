"""A card as Markdown for a model card, and as one HTML page that needs no script and no network."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from rim_eval.card.charts import Picture, card_pictures
from rim_eval.card.schema import Card, MechanismsCard, SetCard
from rim_eval.card.tables import (
    detail_grids,
    figure_grids,
    inside_findings,
    inside_grids,
    provenance_grid,
    settings,
    validity_grids,
    verdict,
)
from rim_eval.formatting import KIND_WORDS, MODE_WORDS, interval, p_text, percent, points
from rim_eval.plots import state_of
from rim_eval.types import PromptKind

_TEMPLATES: Final = Path(__file__).parent
_UNBROKEN: Final = re.compile(r"\([^()]{1,24}\)|p [=<] |\d %")
"""Parts of a table's cell that no line break may divide."""
_MARKDOWN_SIGNS: Final = re.compile(r"([\\`*_\[\]|~#!])")
_FLAGS: Final = {"yes": "RIM shown", "no": "RIM not shown", "cannot_tell": "Cannot tell"}


def card_html(card: Card, inside_pictures: Sequence[Picture] = ()) -> str:
    """Render one self-contained page.

    Args:
        card: The card.
        inside_pictures: Pictures of its section on the inside of the model; the card itself holds
            that section's figures, but not all that is drawn.

    Raises:
        RimError: The renderer of the pictures is not installed.
    """
    values = {"pictures": card_pictures(card), "inside_pictures": inside_pictures}
    return render_page("card.html.jinja", **_card_values(card), **values)


def inside_html(section: MechanismsCard, inside_pictures: Sequence[Picture] = ()) -> str:
    """Render the section on the inside of the model as a page of its own.

    Args:
        section: What was found.
        inside_pictures: Its pictures.
    """
    values = _inside_values(section)
    return render_page("inside_page.html.jinja", inside_pictures=inside_pictures, **values)


def card_markdown(card: Card) -> str:
    """Render Markdown to paste into a model card."""
    filters = {"md": escape_markdown, "code": _escape_code}
    environment = page_environment(_TEMPLATES, filters, autoescape=False)
    text = environment.get_template("card.md.jinja").render(**_card_values(card))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_page(template: str, **values: Any) -> str:
    """Render a template of this folder; everything but pictures is escaped."""
    environment = page_environment(_TEMPLATES, {"tight": _unbreakable}, trim_blocks=False)
    return environment.get_template(template).render(**values)


def page_environment(
    folder: Path,
    filters: dict[str, Callable[..., Any]],
    *,
    autoescape: bool = True,
    trim_blocks: bool = True,
) -> Environment:
    """Make the templates of a folder ready to render; a name that is not given is an error.

    Args:
        folder: Folder of the templates.
        filters: Functions that the templates use, by name.
        autoescape: Whether values are escaped for HTML.
        trim_blocks: Whether lines that hold only a block leave no empty line.
    """
    environment = Environment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=autoescape,
        trim_blocks=trim_blocks, lstrip_blocks=trim_blocks,
    )  # fmt: skip
    environment.filters |= filters
    return environment


def escape_markdown(text: str) -> str:
    """Escape text so that Markdown, and the HTML in it, show it as it is."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SIGNS.sub(r"\\\1", plain)


def _card_values(card: Card) -> dict[str, Any]:
    """What the templates of a card show."""
    return {
        "title": card.model,
        "flag": card.flag.sentence if card.flag else "There is no RIM score on this card.",
        "flag_state": _FLAGS[card.flag.flag if card.flag else "cannot_tell"],
        "headlines": tuple(_headlines(card)),
        "grids": tuple(figure_grids(card)),
        "details": tuple(detail_grids(card)),
        "validity": tuple(validity_grids(card)),
        "commands": tuple((r.dataset, r.command) for r in card.runs if r.command is not None),
        "provenance": provenance_grid(card),
        "settings": settings(card),
        "problems": tuple(f"{problem.says} (n = {problem.n})" for problem in card.problems),
        **_inside_values(card.mechanisms),
    }


def _inside_values(section: MechanismsCard | None) -> dict[str, Any]:
    findings, grids = (
        (inside_findings(section), tuple(inside_grids(section))) if section else ((), ())
    )
    return {"inside": section, "inside_findings": findings, "inside_grids": grids}


def _headlines(card: Card) -> Iterator[dict[str, str]]:
    """The primary endpoint of each kind of prompts; of benign sets the one with most pairs."""
    changes = {each.dataset: each.figures.difference for each in card.of_kind("benign")}
    pairs = {dataset: change.n_pairs if change else 0 for dataset, change in changes.items()}
    first: dict[PromptKind, str | None] = {
        "harmful": card.primary,
        "reasoning": card.primary_reasoning,
        "benign": max(pairs, key=lambda name: pairs[name], default=None),
    }
    for kind, dataset in first.items():
        if primary := card.find(dataset, kind):
            yield _headline(primary)


def _headline(each: SetCard) -> dict[str, str]:
    """One of the figures that come first, as the templates name its parts."""
    words, change = KIND_WORDS[each.kind], each.figures.difference
    # `worse`, `better`, `not` (significant) or `unverified`, for its look; the verdict says it in words.
    state = state_of(each.kind, change.shown).split()[0] if change else "not"
    shown = verdict(each.kind, change)
    if not each.mode_check.verified:
        state, shown = "unverified", f"mode not verified; {shown}"
    rates = [
        f"{percent(rate.value)} {name} (n = {rate.n_scored})"
        for mode, name in MODE_WORDS.items()
        if (rate := each.figures.rate(mode)) is not None
    ]
    return {
        "name": words.difference,
        "dataset": each.dataset,
        "figure": points(change.value if change else None),
        "unit": "percentage points",
        "interval": f"95 % interval {interval(change.lower, change.upper)}" if change else "",
        "rates": f"{words.rate}: {', '.join(rates)}",
        "n": f"n = {change.n_pairs} pairs, {p_text(change.p_value)}" if change else "one mode only",
        "verdict": shown,
        "state": state,
    }


def _unbreakable(text: str) -> str:
    """Let a table's cell break between figures and not inside them."""
    return _UNBROKEN.sub(lambda part: part[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def _escape_code(text: str) -> str:
    """Escape a command in a fenced block: it cannot end the block."""
    return text.replace("```", "` ` `")
