"""Plots: Vega-Lite specs of the few pictures this project draws, and their rendering to SVG text."""

from rim_eval.plotting._arrows import Arrow, arrows
from rim_eval.plotting._bars import Bar, bars
from rim_eval.plotting._figure import Figure, figure
from rim_eval.plotting._forest import ForestRow, forest
from rim_eval.plotting._series import SeriesPoint, series
from rim_eval.plotting._style import State, said, state_of
from rim_eval.plotting._svg import svg

__all__ = [
    "Arrow",
    "Bar",
    "Figure",
    "ForestRow",
    "SeriesPoint",
    "State",
    "arrows",
    "bars",
    "figure",
    "forest",
    "said",
    "series",
    "state_of",
    "svg",
]
