"""A card's figures in the forms of the places where results are looked for."""

from rim_eval.publishing.figures import PublishedFigure, published_figures, unverified_sets
from rim_eval.publishing.formats import Format, Publication, publish

__all__ = [
    "Format",
    "Publication",
    "PublishedFigure",
    "publish",
    "published_figures",
    "unverified_sets",
]
