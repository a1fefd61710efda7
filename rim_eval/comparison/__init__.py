"""Compare models: with a named reference, over families, over training, two checkpoints as arms."""

from rim_eval.comparison._compare import checkpoint_pair, compare
from rim_eval.comparison._schema import (
    Comparison,
    FamilyMean,
    ModelDifference,
    ModelRow,
    SetComparison,
)
from rim_eval.comparison.render import comparison_html, comparison_text

__all__ = [
    "Comparison",
    "FamilyMean",
    "ModelDifference",
    "ModelRow",
    "SetComparison",
    "checkpoint_pair",
    "compare",
    "comparison_html",
    "comparison_text",
]
