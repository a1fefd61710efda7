"""Observations: one row per prompt, mode and epoch; both harnesses end here, all figures start here."""

from rim_eval.observations._check import check
from rim_eval.observations._columns import (
    COLUMNS,
    NO_PATTERN,
    as_table,
    column_value,
    from_rows,
    to_rows,
)
from rim_eval.observations._files import label_of, read, write
from rim_eval.observations._inspect import from_inspect_log, read_inspect_log, rows_of_score
from rim_eval.observations._lm_eval import (
    from_lm_eval_samples,
    read_lm_eval_samples,
    sample_lines,
)
from rim_eval.observations._row import Observation
from rim_eval.observations._run import Problem, Run
from rim_eval.observations._table import Table, join

__all__ = [
    "COLUMNS",
    "NO_PATTERN",
    "Observation",
    "Problem",
    "Run",
    "Table",
    "as_table",
    "check",
    "column_value",
    "from_inspect_log",
    "from_lm_eval_samples",
    "from_rows",
    "join",
    "label_of",
    "read",
    "read_inspect_log",
    "read_lm_eval_samples",
    "rows_of_score",
    "sample_lines",
    "to_rows",
    "write",
]
