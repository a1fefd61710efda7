"""Verdicts of one judge, each reply once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from rim_eval.errors import RimError

if TYPE_CHECKING:
    from rim_eval.observations import Observation, Problem, Table

__all__ = ["judged", "of_one_judge"]

Judged = TypeVar("Judged", bound="Observation")


def judged(table: "Table", named: str | None) -> "list[Observation]":
    """One verdict a reply: those of each set's one judge, and what no judge gives (solutions are checked).

    They do not say which patterns were found: rows of patterns do, by monitor.

    Args:
        table: Observations by any judges, each reply of one run.
        named: As `of_one_judge` takes it.

    Raises:
        RimError: It is not clear which judge counts, or it gave several verdicts on one reply.
    """
    from rim_eval.observations import check, from_rows, to_rows

    rows = _once(of_one_judge(to_rows(table.frame), named))
    for problem in check(replace(table, frame=from_rows(rows))):
        _refuse(problem)
    return rows


def _once(rows: "Iterable[Observation]") -> "list[Observation]":
    """A verdict that copies of a log share, once; each copy names the patterns of its own monitor."""
    return list(dict.fromkeys(row.model_copy(update={"patterns": None}) for row in rows))


def _refuse(problem: "Problem") -> None:
    if problem.kind == "duplicate":
        some = ", ".join(problem.ids[:3]) + (" and others" if len(problem.ids) > 3 else "")
        raise RimError(f"{problem.says}: {some}. Give each run once; of a log and its copies, one.")


def of_one_judge(rows: "Sequence[Judged]", named: str | None) -> "list[Judged]":
    """The rows of each set's one judge, and those that no judge gave.

    Args:
        rows: Rows by any judges.
        named: The judge that counts where a set has several, as its name, name@version, or as messages
            list it.

    Raises:
        RimError: A set has several and none of them is named, or the one named is nowhere.
    """
    judges: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.judge is not None:
            judges[row.dataset].add(_name(row))
    there = sorted(set().union(*judges.values()))
    if named is not None and not any(_is(judge, named) for judge in there):
        raise RimError(
            f"{named!r} has not judged these logs; those that have: {'; '.join(there) or 'none'}."
        )
    chosen = {dataset: _chosen(ours, named) for dataset, ours in judges.items()}
    return [row for row in rows if row.judge is None or _name(row) == chosen[row.dataset]]


def _chosen(judges: set[str], named: str | None) -> str:
    found = {judge for judge in judges if named is not None and _is(judge, named)} or judges
    if len(found) > 1:
        raise RimError(
            f"Several judges gave verdicts: {'; '.join(sorted(found))}. Name one with --judge."
        )
    return min(found)


def _name(row: "Observation") -> str:
    """A judge with what tells it apart: the model that it asks, and what it sees."""
    asked = f" asking {row.judge_model}" if row.judge_model else ""
    return f"{row.judge}{asked}, seeing {row.judge_sees or 'answer'}"


def _is(judge: str, named: str) -> bool:
    """Whether a judge is meant: the name of another one may begin with the same letters."""
    return judge.startswith(named) and judge[len(named) :][:1] in ("", "@", ",", " ")
