"""A series: a base model and its checkpoints or LoRA adapters, run in both modes and compared over training."""

from rim_eval.series.build import build_series, check_steps
from rim_eval.series.plan import open_series, parse_models
from rim_eval.series.render import series_html, series_markdown, series_text
from rim_eval.series.run import finished_logs, run_series, series_plan
from rim_eval.series.schema import SeriesModel, SeriesReport, SeriesSettings, SeriesTrend

__all__ = [
    "SeriesModel",
    "SeriesReport",
    "SeriesSettings",
    "SeriesTrend",
    "build_series",
    "check_steps",
    "finished_logs",
    "open_series",
    "parse_models",
    "run_series",
    "series_html",
    "series_markdown",
    "series_plan",
    "series_text",
]
