"""The observations table: its columns, in order, and what each is in pandas and on disk.

Text columns are categories (few distinct values, or ids that repeat over modes and epochs), so a million
rows take some 100 MB. Counts that may be missing are nullable integers, verdicts nullable booleans.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, get_args

from rim_eval.errors import RimError
from rim_eval.generation import StopReason, TraceVisibility
from rim_eval.observations._row import Observation
from rim_eval.types import ARM_KINDS, MODES, PROMPT_KINDS, UNSCORED_REASONS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "NO_PATTERN", "as_table", "column_value", "from_rows", "to_rows"]

COLUMNS: Final[dict[str, str]] = {
    "run": "category",
    "model": "category",
    "dataset": "category",
    "prompt_id": "category",
    "kind": "category",
    "category": "category",
    "pair": "category",
    "mode": "category",
    "arm_kind": "category",
    "epoch": "int32",
    "verdict": "boolean",
    "score": "float64",
    "label": "category",
    "reason": "category",
    "judge": "category",
    "judge_sha256": "category",
    "judge_model": "category",
    "judge_sees": "category",
    "adopted": "bool",
    "visibility": "category",
    "trace_closed": "boolean",
    "trace_tokens": "Int32",
    "answer_tokens": "Int32",
    "output_tokens": "Int32",
    "over_budget": "bool",
    "stop_reason": "category",
    "looping": "bool",
    "patterns": "category",
}
"""Column to pandas type. `run` names the run a row came from; `patterns` are names joined by a space,
`none` where a monitor read the trace and found none, missing where none has read it; the others are
the fields of `Observation`."""

NO_PATTERN: Final = "none"

_REQUIRED: Final = (
    "model", "dataset", "prompt_id", "kind", "mode", "arm_kind", "epoch", "adopted", "stop_reason",
)  # fmt: skip

_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "kind": PROMPT_KINDS,
    "mode": MODES,
    "arm_kind": ARM_KINDS,
    "reason": UNSCORED_REASONS,
    "visibility": get_args(TraceVisibility),
    "stop_reason": get_args(StopReason),
}


def from_rows(rows: Iterable[Observation], run: str | None = None) -> "pd.DataFrame":
    """Observations as the documented table.

    Args:
        rows: The observations, in any order.
        run: Id of the run they come from.
    """
    import pandas as pd

    kept = list(rows)
    columns = {name: [column_value(row, name) for row in kept] for name in COLUMNS if name != "run"}
    frame = pd.DataFrame({"run": [run] * len(kept)} | columns)
    return _typed(frame)


def to_rows(frame: "pd.DataFrame") -> list[Observation]:
    """The table's rows as observations; the column `run` is left behind.

    Raises:
        RimError: A row is no observation.
    """
    records = frame.drop(columns="run").astype(object)
    records = records.where(records.notna(), None)
    return [Observation.model_validate(_fields(record)) for record in records.to_dict("records")]


def as_table(frame: "pd.DataFrame", source: str) -> "pd.DataFrame":
    """A frame from a file, brought into the documented columns and types, and checked.

    Raises:
        RimError: A column is missing or unknown, or holds what it may not hold.
    """
    _check_names(list(frame.columns), source)
    for name in COLUMNS:
        if name not in frame:
            frame[name] = None
    try:
        typed = _typed(frame)
    except (TypeError, ValueError) as error:
        raise RimError(
            f"{source}: a column holds another type than observations have ({error})."
        ) from None
    _check_values(typed, source)
    return typed


def _typed(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame[list(COLUMNS)].astype({n: t for n, t in COLUMNS.items() if frame[n].dtype != t})


def column_value(row: Observation, name: str) -> Any:
    """A row's value as the table holds it; None where it is missing.

    Args:
        row: The observation.
        name: A column of the table other than `run`.
    """
    if name != "patterns":
        return getattr(row, name)
    return None if row.patterns is None else " ".join(row.patterns) or NO_PATTERN


def _fields(record: dict[Any, Any]) -> dict[str, Any]:
    found = {str(name): value for name, value in record.items()}
    patterns = found.pop("patterns")
    if patterns is not None:
        found["patterns"] = () if patterns == NO_PATTERN else tuple(patterns.split())
    return found


def _check_names(names: list[str], source: str) -> None:
    missing = [name for name in _REQUIRED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        said = [f"lacks {', '.join(missing)}"] * bool(missing)
        said += [f"has unknown columns {', '.join(map(repr, unknown[:5]))}"] * bool(unknown)
        raise RimError(
            f"{source} is no table of observations: it {' and '.join(said)}. "
            "The columns are listed in docs/card.md."
        )


def _check_values(frame: "pd.DataFrame", source: str) -> None:
    for name, allowed in _WORDS.items():
        if strange := sorted(map(str, set(frame[name].cat.categories) - set(allowed))):
            raise RimError(
                f"{source}: {name} holds {strange[0]!r}; allowed are {', '.join(allowed)}."
            )
    checks: dict[str, Callable[[], Any]] = {
        "a required value is missing": lambda: frame[list(_REQUIRED)].isna().to_numpy(),
        "an epoch is below 1": lambda: frame["epoch"] < 1,
        "a score is infinite": lambda: frame["score"].abs() == float("inf"),
        "a row has a verdict and a reason why it has none": lambda: (
            frame["verdict"].notna() & frame["reason"].notna()
        ),
        "a row has neither a verdict nor a reason": lambda: (
            frame["verdict"].isna() & frame["reason"].isna()
        ),
    }
    for problem, look in checks.items():
        if bool(look().any()):
            raise RimError(f"{source}: {problem}.")
