"""Comparing models: against a named reference, over families, over training, two checkpoints as arms."""

from rim_eval.comparison._cards import compare_cards
from rim_eval.comparison._compare import checkpoint_pair, compare
from rim_eval.comparison._schema import (
    Against,
    Comparison,
    FamilyMean,
    ModelRow,
    SetComparison,
)
from rim_eval.comparison.render import comparison_html, comparison_text

__all__ = [
    "Against",
    "Comparison",
    "FamilyMean",
    "ModelRow",
    "SetComparison",
    "checkpoint_pair",
    "compare",
    "compare_cards",
    "comparison_html",
    "comparison_text",
]
