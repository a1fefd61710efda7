"""A series: a base model and its checkpoints or LoRA adapters, run in both modes and compared over training."""

from rim_eval.series.build import build_series, check_steps
from rim_eval.series.plan import child_groups, open_series, parse_models
from rim_eval.series.render import series_html, series_markdown, series_text
from rim_eval.series.run import finished_logs, run_series
from rim_eval.series.schema import Failure, SeriesModel, SeriesReport, SeriesSettings, SeriesTrend

__all__ = [
    "Failure",
    "SeriesModel",
    "SeriesReport",
    "SeriesSettings",
    "SeriesTrend",
    "build_series",
    "check_steps",
    "child_groups",
    "finished_logs",
    "open_series",
    "parse_models",
    "run_series",
    "series_html",
    "series_markdown",
    "series_text",
]
