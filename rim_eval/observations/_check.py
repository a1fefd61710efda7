"""Duplicates, half pairs and contradictions, found in a table and named by prompt id; and runs asked unlike."""

from typing import TYPE_CHECKING, Final

from rim_eval.observations._agreeing import disagreeing_runs
from rim_eval.observations._run import Problem, ProblemKind
from rim_eval.observations._table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check"]

_PROMPT: Final = ["model", "dataset", "prompt_id"]
_PAIR: Final = [*_PROMPT, "epoch", "judge", "judge_model"]


def check(table: Table) -> tuple[Problem, ...]:
    """Everything that is wrong with the rows themselves; what reading found is in `table.problems`.

    Returns:
        One problem a kind, model and data set, in a fixed order; empty when all is well.
    """
    frame = table.frame
    return (
        *_problems(
            frame[frame.duplicated([*_PAIR, "mode"], keep=False)],
            "duplicate",
            "occur more than once in a mode, epoch, judge and grader",
        ),
        *_problems(_half_pairs(frame), "half_pair", "were returned in one mode only"),
        *_problems(_contradicting(frame), "mismatch", "carry two kinds, categories or arm kinds"),
        *disagreeing_runs(table),
    )


def _half_pairs(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Rows without a partner in the other mode; a set that was run in one mode only has no pairs."""
    modes = frame.groupby(["model", "dataset", "kind"], observed=True)["mode"].transform("nunique")
    partners = frame.groupby(_PAIR, observed=True, dropna=False)["mode"].transform("nunique")
    return frame[(modes == 2) & (partners == 1)]


def _contradicting(frame: "pd.DataFrame") -> "pd.DataFrame":
    groups = frame.groupby(_PROMPT, observed=True)
    names = ["kind", "category", "arm_kind"]
    return frame.loc[(groups[names].transform("nunique") > 1).any(axis=1)]


def _problems(rows: "pd.DataFrame", kind: ProblemKind, says: str) -> list[Problem]:
    if rows.empty:
        return []
    found = []
    for (model, dataset), part in rows.groupby(["model", "dataset"], observed=True):
        ids = tuple(sorted(set(part["prompt_id"].astype(str))))
        runs = tuple(sorted(set(part["run"].dropna().astype(str))))
        sentence = f"{len(ids)} prompts of {dataset} ({model}) {says}"
        found.append(Problem(kind=kind, dataset=str(dataset), says=sentence, runs=runs, ids=ids))
    return found
