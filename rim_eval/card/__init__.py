"""The RIM card: one model's figures with the counts they follow from."""

from rim_eval.card.build import make_card
from rim_eval.card.check import check_card
from rim_eval.card.finding import Finding, GateVerdict, finding, set_doubt
from rim_eval.card.hero import not_comparable
from rim_eval.card.render import (
    Picture,
    all_sets_picture,
    card_html,
    card_markdown,
    card_pictures,
    card_summary,
    escape_markdown,
    inside_html,
    page_environment,
    render_page,
)
from rim_eval.card.schema import (
    Card,
    CardRun,
    InsideFigure,
    InsideFinding,
    InsideSet,
    JudgeCard,
    MechanismsCard,
    SetCard,
    card_json,
    json_schema,
    read_card,
)
from rim_eval.results.counts import Cell, Outcome, SetCounts
from rim_eval.results.figures import Figures, figures
from rim_eval.results.rates import ArmRate

__all__ = [
    "ArmRate",
    "Card",
    "CardRun",
    "Cell",
    "Figures",
    "Finding",
    "GateVerdict",
    "InsideFigure",
    "InsideFinding",
    "InsideSet",
    "JudgeCard",
    "MechanismsCard",
    "Outcome",
    "Picture",
    "SetCard",
    "SetCounts",
    "all_sets_picture",
    "card_html",
    "card_json",
    "card_markdown",
    "card_pictures",
    "card_summary",
    "check_card",
    "escape_markdown",
    "figures",
    "finding",
    "inside_html",
    "json_schema",
    "make_card",
    "not_comparable",
    "page_environment",
    "read_card",
    "render_page",
    "set_doubt",
]
