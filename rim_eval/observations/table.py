"""The observations table: its columns in pandas, its rows, and the runs behind them.

Text columns are categories (few distinct values, or ids that repeat over modes and epochs), so a million
rows take some 100 MB. Counts that may be missing are nullable integers, verdicts nullable booleans.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, get_args

from rim_eval.errors import RimError
from rim_eval.generation import StopReason, TraceVisibility
from rim_eval.observations.schema import Observation, Problem, Run
from rim_eval.paths import without_folders
from rim_eval.types import ARM_KINDS, MODES, PROMPT_KINDS, UNSCORED_REASONS, SamplingProtocol

if TYPE_CHECKING:
    import pandas as pd

_TYPES: Final[dict[Any, str]] = {
    bool: "bool",
    bool | None: "boolean",
    int: "int32",
    int | None: "Int32",
    float | None: "float64",
}

COLUMNS: Final = {"run": "category"} | {
    name: _TYPES.get(field.annotation, "category")
    for name, field in Observation.model_fields.items()
}
"""Column to pandas type. `run` names the run a row came from; `patterns` are names joined by a space,
`none` where a monitor read the trace and found none, missing where none has read it; the others are
the fields of `Observation`."""

NO_PATTERN: Final = "none"

PATTERN_COLUMNS: Final = ("patterns", "pattern_monitor", "pattern_grader")
"""What a monitor found in the trace, and who it is."""

_REQUIRED: Final = (
    *(name for name, field in Observation.model_fields.items() if field.is_required()),
    *("epoch", "adopted", "stop_reason"),
)


_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "kind": PROMPT_KINDS,
    "mode": MODES,
    "arm_kind": ARM_KINDS,
    "reason": UNSCORED_REASONS,
    "visibility": get_args(TraceVisibility),
    "stop_reason": get_args(StopReason),
    "sampling": get_args(SamplingProtocol),
}
"""Columns that hold one of a few words."""


def from_rows(rows: Iterable[Observation], run: str | None = None) -> "pd.DataFrame":
    """Observations as the documented table.

    Args:
        rows: The observations, in any order.
        run: Id of the run they come from.
    """
    import pandas as pd

    rows = list(rows)
    columns = {name: column_values(rows, name) for name in COLUMNS if name != "run"}
    frame = pd.DataFrame({"run": [run] * len(rows)} | columns)
    return _typed(frame)


def to_rows(frame: "pd.DataFrame") -> list[Observation]:
    """The table's rows as observations; the column `run` is left behind.

    Raises:
        RimError: A row is no observation.
    """
    cells = frame.drop(columns="run").astype(object)
    rows = []
    for record in cells.where(cells.notna(), None).to_dict("records"):
        fields: dict[str, Any] = {str(name): value for name, value in record.items()}
        if fields["patterns"] is not None:
            fields["patterns"] = tuple(p for p in fields["patterns"].split() if p != NO_PATTERN)
        rows.append(Observation.model_validate(fields))
    return rows


def as_table(frame: "pd.DataFrame", source: str) -> "pd.DataFrame":
    """A frame from a file, brought into the documented columns and types, and checked.

    Raises:
        RimError: A column is missing or unknown, or holds what it may not hold.
    """
    missing = [name for name in _REQUIRED if name not in frame]
    unknown = [name for name in frame.columns if name not in COLUMNS]
    if missing or unknown:
        lacks = f"lacks {', '.join(missing)}" if missing else ""
        holds = f"has unknown columns {', '.join(map(repr, unknown[:5]))}" if unknown else ""
        raise RimError(
            f"{source} is no table of observations: it {' and '.join(filter(None, (lacks, holds)))}. "
            "The columns are listed in docs/card.md."
        )
    for name in [name for name in COLUMNS if name not in frame]:
        field = Observation.model_fields.get(name)
        frame[name] = None if field is None or field.is_required() else field.default
    for name in ("model", "judge_model", "pattern_grader", "served_model"):
        frame[name] = frame[name].map(without_folders, na_action="ignore")
    try:
        frame = _typed(frame)
    except (TypeError, ValueError, OverflowError) as error:
        raise RimError(
            f"{source}: a column holds another type than observations have ({error})."
        ) from None
    for name, allowed in _WORDS.items():
        if unknown := sorted(map(str, set(frame[name].cat.categories) - set(allowed))):
            raise RimError(
                f"{source}: {name} holds {unknown[0]!r}; allowed are {', '.join(allowed)}."
            )
    has_verdict, has_reason = frame["verdict"].notna(), frame["reason"].notna()
    faults = {
        "a required value is missing": frame[list(_REQUIRED)].isna().any(axis=1),
        "an epoch is below 1": frame["epoch"] < 1,
        "a score is infinite": frame["score"].abs() == float("inf"),
        "a row has a verdict and a reason why it has none": has_verdict & has_reason,
        "a row has neither a verdict nor a reason": ~has_verdict & ~has_reason,
    }
    for fault, rows in faults.items():
        if rows.any():
            raise RimError(f"{source}: {fault}.")
    return frame


def _typed(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame[list(COLUMNS)].astype({n: t for n, t in COLUMNS.items() if frame[n].dtype != t})


def column_values(rows: Sequence[Observation], name: str) -> list[Any]:
    """One column of some rows as the table holds it; None where a value is missing.

    Args:
        rows: The observations.
        name: A column of the table other than `run`.
    """
    values = list(map(attrgetter(name), rows))
    if name != "patterns":
        return values
    return [None if each is None else " ".join(each) or NO_PATTERN for each in values]


@dataclass(frozen=True, eq=False)
class Table:
    """Observations of any number of runs: what every figure is computed from.

    Attributes:
        frame: One row a prompt, mode, epoch and judge; columns as in `COLUMNS`.
        runs: The runs behind the rows, by the column `run`.
        problems: What was found wrong while reading. Nothing of it was repaired by leaving rows out,
            except that a log which a retry continued gives way to the retry's.
    """

    frame: "pd.DataFrame"
    runs: tuple[Run, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Models in the table, sorted."""
        return tuple(sorted(map(str, self.frame["model"].unique())))

    def of_model(self, model: str) -> "Table":
        """The rows and runs of one model.

        Raises:
            RimError: The table has no such model.
        """
        if model not in self.models:
            raise RimError(f"There is no model {model!r}; there are {', '.join(self.models)}.")
        return self.where(self.frame["model"] == model)

    def of_judge(self, name: str) -> "Table":
        """The rows that one judge gave, of the sets that it judged.

        Sets that it did not judge keep their rows: solutions, which are checked, and sets of another
        judge, whose name stands beside their figures.

        Args:
            name: `name` or `name@version`; with `:GRADER` after it, only what that grader said.

        Raises:
            RimError: No row was judged by it.
        """
        chosen, judges = self._made_by(name, "judge", "judge_model")
        if not chosen.any():
            raise RimError(f"No row was judged by {name!r}; judges here: {judges}.")
        of_set = [self.frame[column] for column in ("dataset", "kind")]
        return self.where(chosen | ~chosen.groupby(of_set, observed=True).transform("any"))

    def of_monitor(self, name: str | None) -> "Table":
        """The same rows, with the reasoning patterns that one monitor found.

        Args:
            name: `name` or `name@version`; with `:GRADER` after it, only what that grader found. None
                keeps what graders found: what an offline monitor finds is shown on request only.

        Raises:
            RimError: The named monitor has read no trace.
        """
        if name is None:
            chosen = self.frame["pattern_grader"].notna()
        else:
            chosen, monitors = self._made_by(name, "pattern_monitor", "pattern_grader")
            if not chosen.any():
                raise RimError(
                    f"No trace was read by {name!r}; monitors whose findings stand in these rows: {monitors}. "
                    "A grader's findings stand before those of an offline monitor."
                )
        kept = {column: self.frame[column].where(chosen) for column in PATTERN_COLUMNS}
        return replace(self, frame=self.frame.assign(**kept))

    def _made_by(self, name: str, maker: str, model: str) -> "tuple[pd.Series[bool], str]":
        """The rows by the instrument of a name (`name@version:GRADER`), and all that there are."""
        makers, models = (
            self.frame[column].astype("object").fillna("") for column in (maker, model)
        )
        wanted, colon, grader = name.partition(":")
        chosen = (makers == wanted) | makers.str.startswith(f"{wanted}@")
        chosen &= (models == grader) if colon else True
        every = sorted({each.rstrip(":") for each in makers + ":" + models} - {""})
        return chosen, ", ".join(every) or "none"

    def where(self, chosen: "pd.Series[bool]") -> "Table":
        """The rows for which `chosen` is true, with their runs and those runs' problems."""
        frame = self.frame[chosen].reset_index(drop=True)
        for name in frame.select_dtypes("category"):
            frame[name] = frame[name].cat.remove_unused_categories()
        before, after = (set(each["run"].cat.categories) for each in (self.frame, frame))
        models = set(frame["model"].cat.categories)
        # A run that ended before its first row is still a run of its model.
        runs = tuple(
            run
            for run in self.runs
            if run.id in after or (run.id not in before and run.model in models)
        )
        ids = {run.id for run in runs} | after
        problems = tuple(p for p in self.problems if not p.runs or ids & set(p.runs))
        return Table(frame, runs, problems)

    def renamed(self, label: str) -> "Table":
        """The same rows under another model name, for checkpoints whose logs all name one model.

        Raises:
            RimError: The table holds several models, so the name would mix them.
        """
        refuse_several_models(label, self.models)
        frame = self.frame.assign(model=label).astype({"model": "category"})
        runs = tuple(run.model_copy(update={"model": label}) for run in self.runs)
        return replace(self, frame=frame, runs=runs)


def refuse_several_models(label: str, models: Collection[str]) -> None:
    """Refuse one name for the logs of several models.

    Args:
        label: NAME of `NAME=PATH`.
        models: The models of its logs.

    Raises:
        RimError: There are several.
    """
    if len(models) > 1:
        raise RimError(
            f"{label}=... names one model, but these logs hold {len(models)}: "
            f"{', '.join(sorted(models))}. Name logs of one model."
        )


def join(tables: Sequence[Table]) -> Table:
    """Join tables into one, as they are; `merge_runs` counts runs and verdicts once.

    Raises:
        RimError: There is nothing to join.
    """
    if not tables:
        raise RimError("There are no observations to read.")
    import pandas as pd
    from pandas.api.types import union_categoricals

    columns = {}
    for name, kind in COLUMNS.items():
        parts: list[Any] = [table.frame[name] for table in tables]
        if kind == "category":
            # Without texts of one type, also in an all-missing part, a column would turn into objects.
            texts = [
                part.cat.rename_categories(part.cat.categories.astype("str")) for part in parts
            ]
            columns[name] = pd.Series(union_categoricals(texts))
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    runs: Mapping[str, Run] = {run.id: run for table in tables for run in table.runs}
    problems = dict.fromkeys(p for table in tables for p in table.problems)
    return Table(pd.DataFrame(columns), tuple(runs.values()), tuple(problems))
