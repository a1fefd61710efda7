"""Compare models: with a named reference, over families, over training, two checkpoints as arms."""

from rim_eval.comparison.build import checkpoint_pair, compare
from rim_eval.comparison.comparison import Comparison
from rim_eval.comparison.render import comparison_html, comparison_markdown, comparison_text

__all__ = [
    "Comparison",
    "checkpoint_pair",
    "compare",
    "comparison_html",
    "comparison_markdown",
    "comparison_text",
]
