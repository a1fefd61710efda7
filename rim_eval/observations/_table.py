"""A table of observations with what is known about its runs and what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rim_eval.errors import RimError
from rim_eval.observations._run import Problem, Run

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "join"]


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
        judge, grader = (
            self.frame[column].astype("object").fillna("") for column in ("judge", "judge_model")
        )
        named, colon, asked = name.partition(":")
        ours = (judge == named) | judge.str.startswith(f"{named}@")
        ours &= (grader == asked) if colon else True
        if not ours.any():
            there = sorted({each.rstrip(":") for each in judge + ":" + grader} - {""})
            raise RimError(
                f"No row was judged by {name!r}; judges here: {', '.join(there) or 'none'}."
            )
        of_set = [self.frame[column] for column in ("dataset", "kind")]
        judged = ours.groupby(of_set, observed=True).transform("any")
        return self.where(ours | ~judged)

    def where(self, chosen: "pd.Series[bool]") -> "Table":
        """The rows for which `chosen` is true, with their runs and those runs' problems."""
        frame = self.frame[chosen].reset_index(drop=True)
        for name in frame.select_dtypes("category"):
            frame[name] = frame[name].cat.remove_unused_categories()
        with_rows, kept = set(self.frame["run"].cat.categories), set(frame["run"].cat.categories)
        models = set(frame["model"].cat.categories)
        # A run that ended before its first row is still a run of its model.
        runs = tuple(
            run
            for run in self.runs
            if run.id in kept or (run.id not in with_rows and run.model in models)
        )
        ids = {run.id for run in runs} | kept
        problems = tuple(p for p in self.problems if not p.runs or ids & set(p.runs))
        return Table(frame, runs, problems)

    def renamed(self, label: str) -> "Table":
        """The same rows under another model name, for checkpoints whose logs all name one model.

        Raises:
            RimError: The table holds several models, so the name would mix them.
        """
        if len(self.models) != 1:
            raise RimError(
                f"{label}=... names one model, but these logs hold {len(self.models)}: "
                f"{', '.join(self.models) or 'none'}. Name logs of one model."
            )
        frame = self.frame.assign(model=label).astype({"model": "category"})
        runs = tuple(run.model_copy(update={"model": label}) for run in self.runs)
        return replace(self, frame=frame, runs=runs)


def join(tables: Sequence[Table], extra: Iterable[Problem] = ()) -> Table:
    """Several tables as one.

    Raises:
        RimError: There is nothing to join.
    """
    if not tables:
        raise RimError("There are no observations to read.")
    frame = _concatenated([table.frame for table in tables])
    runs: Mapping[str, Run] = {run.id: run for table in tables for run in table.runs}
    problems = dict.fromkeys(p for table in tables for p in table.problems)
    return Table(frame, tuple(runs.values()), (*problems, *extra))


def _concatenated(frames: Sequence["pd.DataFrame"]) -> "pd.DataFrame":
    """Rows of all frames; categories are united first, so that no column turns into objects."""
    import pandas
    from pandas.api.types import union_categoricals

    if len(frames) == 1:
        return frames[0].reset_index(drop=True)
    columns = {}
    for name in frames[0].columns:
        parts = [frame[name] for frame in frames]
        if parts[0].dtype == "category":
            columns[name] = pandas.Series(union_categoricals([_texts(part) for part in parts]))
        else:
            columns[name] = pandas.concat(parts, ignore_index=True)
    return pandas.DataFrame(columns)


def _texts(column: Any) -> Any:
    """A category column with text categories; an all-missing one has no type of its own."""
    return column.cat.set_categories(column.cat.categories.astype("str"))
