"""Observations: one row per prompt, mode and epoch; both harnesses end here, all figures start here."""

from ._inspect import from_inspect_log, rows_of_score
from ._row import Observation

__all__ = ["Observation", "from_inspect_log", "rows_of_score"]
