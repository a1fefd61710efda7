"""Observations: one row per prompt, mode and epoch; both harnesses end here, all figures start here."""

from rim_eval.observations.files import (
    LOGS,
    label_of,
    log_files,
    read_observations,
    write_observations,
)
from rim_eval.observations.inspect_logs import (
    arms_of_score,
    complete_rows,
    from_inspect_log,
    load_inspect_log,
    rows_of_score,
)
from rim_eval.observations.lm_eval_samples import (
    from_lm_eval_samples,
    numbered_lines,
    read_lm_eval_samples,
    results_file,
    sample_lines,
)
from rim_eval.observations.runs import check, latest_runs, refuse_two_names
from rim_eval.observations.schema import (
    ModelName,
    Observation,
    Problem,
    Run,
    Stopping,
    condition_name,
)
from rim_eval.observations.table import (
    COLUMNS,
    NO_PATTERN,
    PATTERN_COLUMNS,
    Table,
    as_table,
    column_values,
    from_rows,
    join,
    refuse_several_models,
    to_rows,
)

__all__ = [
    "COLUMNS",
    "LOGS",
    "NO_PATTERN",
    "PATTERN_COLUMNS",
    "ModelName",
    "Observation",
    "Problem",
    "Run",
    "Stopping",
    "Table",
    "arms_of_score",
    "as_table",
    "check",
    "column_values",
    "complete_rows",
    "condition_name",
    "from_inspect_log",
    "from_lm_eval_samples",
    "from_rows",
    "join",
    "label_of",
    "latest_runs",
    "load_inspect_log",
    "log_files",
    "numbered_lines",
    "read_lm_eval_samples",
    "read_observations",
    "refuse_several_models",
    "refuse_two_names",
    "results_file",
    "rows_of_score",
    "sample_lines",
    "to_rows",
    "write_observations",
]
