"""The RIM card: one model's figures with the counts they follow from."""

from rim_eval.card._build import make_card
from rim_eval.card._check import check_card
from rim_eval.card._mechanisms import InsideFigure, InsideFinding, InsideSet, MechanismsCard
from rim_eval.card._render import (
    card_html,
    card_markdown,
    escape_markdown,
    inside_html,
    render_page,
)
from rim_eval.card._schema import (
    SCHEMA_VERSION,
    Card,
    CardRun,
    JudgeCard,
    SetCard,
    card_json,
    json_schema,
    read_card,
)
from rim_eval.results.counts import ArmCounts, Cell, Outcome, SetCounts
from rim_eval.results.figures import Difference, Figures, Rate, figures

__all__ = [
    "SCHEMA_VERSION",
    "ArmCounts",
    "Card",
    "CardRun",
    "Cell",
    "Difference",
    "Figures",
    "InsideFigure",
    "InsideFinding",
    "InsideSet",
    "JudgeCard",
    "MechanismsCard",
    "Outcome",
    "Rate",
    "SetCard",
    "SetCounts",
    "card_html",
    "card_json",
    "card_markdown",
    "check_card",
    "escape_markdown",
    "figures",
    "inside_html",
    "json_schema",
    "make_card",
    "read_card",
    "render_page",
]
