"""Whether runs join pair by pair: no prompt lost, none twice, both of its arms asked alike.

Of a log it is known what was asked. A table says it too, as long as the runs stand in it that its rows came from.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.formatting import MODE_WORDS, counted
from rim_eval.observations import Problem, Run, Table, check
from rim_eval.observations.shards import Shard, missing_shards

if TYPE_CHECKING:
    import pandas as pd

_NEXT: Final = {
    "duplicate": "Leave one of their logs out",
    "half_pair": "Give the run's command again: it asks what is missing, in both modes",
    "missing": "Give the run's command again: it asks only what is missing",
    "incomplete_run": "Give the run's command again: it asks only what is missing",
    "mismatch": "Prompts that were asked otherwise belong to another model's name or another set's",
}
"""What to do about each kind of problem that keeps runs from being joined. Other kinds are remarks."""
_LOST: Final = ("missing", "incomplete_run")
_WHOLE: Final = "Give the whole table, or the logs themselves"


class Obstacle(NamedTuple):
    """Why runs do not join, and what to do."""

    says: str
    next_step: str


def obstacles(table: Table) -> tuple[Obstacle, ...]:
    """Everything that keeps the runs of a table from being one run; empty where they join.

    Args:
        table: Observations of all of them.
    """
    found = [each for each in (*table.problems, *check(table)) if each.kind in _NEXT]
    told = {run for each in found if each.kind in _LOST for run in each.runs}
    return (
        *_divided(table.runs),
        *(_obstacle(each, table) for each in dict.fromkeys(found)),
        *_one_mode(table),
        *_lost([run for run in table.runs if run.id not in told], table.frame),
    )


def is_described(table: Table) -> bool:
    """Whether every row comes from a run that the table describes: else nothing tells which prompts were asked.

    Args:
        table: Observations.
    """
    return _ids_in(table.frame) <= {run.id for run in table.runs}


def _obstacle(problem: Problem, table: Table) -> Obstacle:
    runs = [run for run in table.runs if run.id in problem.runs]
    ids = "" if problem.kind == "incomplete_run" else _some(problem.ids)
    commands = {_command(run.shard) for run in runs if run.shard}
    next_step = _NEXT[problem.kind]
    if problem.kind != "duplicate" and commands:
        return Obstacle(f"{problem.says}{ids}", f"{next_step}: {'; '.join(sorted(commands))}")
    return Obstacle(f"{problem.says}{ids}", f"{next_step}{_some([run.log for run in runs])}")


def _some(names: Sequence[str], most: int = 4) -> str:
    """The first of some names, after a colon; empty where there are none."""
    rest = ", ..." if len(names) > most else ""
    return f": {', '.join(sorted(names)[:most])}{rest}" if names else ""


def _command(shard: Shard) -> str:
    return f"rim-eval run {shard.suite or 'SUITE'} --shard {shard}"


def _divided(runs: Sequence[Run]) -> Iterator[Obstacle]:
    """Shards that are not there, of each model and set that was divided."""
    divided = defaultdict[tuple[str, str], list[Shard]](list)
    for run in runs:
        if run.shard:
            divided[run.model, run.dataset].append(run.shard)
    for (model, dataset), shards in divided.items():
        try:
            missing = missing_shards(shards)
        except RimError as error:
            yield Obstacle(f"{dataset} ({model}): {error}", "Give logs of one division only")
            continue
        if missing:
            names = ", ".join(map(str, missing))
            commands = [
                _command(shards[0].model_copy(update=place.model_dump())) for place in missing
            ]
            yield Obstacle(
                f"{len(missing)} of {shards[0].count} shards of {dataset} ({model}) are not there: {names}",
                f"Run them, or give their logs too: {'; '.join(commands[:3])}",
            )


def _one_mode(table: Table) -> Iterator[Obstacle]:
    """Sets whose rows have one mode, unless their runs are known to have asked in that mode alone."""
    for (model, dataset), rows in table.frame.groupby(["model", "dataset"], observed=True):
        ids, modes = _ids_in(rows), list(rows["mode"].unique())
        runs = [run for run in table.runs if run.id in ids]
        both = [run.log for run in runs if len(set(run.modes)) == 2 and not run.doses]
        if len(modes) == 2 or not (both or len(runs) < len(ids)):
            continue
        prompts = counted(rows["prompt_id"].nunique(), "prompt")
        says = f"{prompts} of {dataset} ({model}) in one mode only, {MODE_WORDS[modes[0]]}"
        if both:
            yield Obstacle(f"{says}; the run asked both", f"{_WHOLE}{_some(both)}")
        else:
            yield Obstacle(
                f"{says}; no run says that it asked no other", f"{_WHOLE}, of both modes"
            )


def _ids_in(rows: "pd.DataFrame") -> set[str | None]:
    """Ids of the runs that rows name; None among them where some name none."""
    ids = rows["run"].astype("object")
    return set(ids.where(ids.notna(), None).unique())


def _lost(runs: Sequence[Run], frame: "pd.DataFrame") -> Iterator[Obstacle]:
    """Prompts that a run asked and that have no row in any mode. Its judged copies share its rows."""
    pairs = frame[["run", "prompt_id", "epoch"]].astype({"run": "object", "prompt_id": "object"})
    together = defaultdict[tuple[str, str], list[Run]](list)
    for run in runs:
        together[run.model, run.group or run.id].append(run)
    for (model, _), copies in together.items():
        of_run = pairs[pairs["run"].isin([run.id for run in copies])]
        present = len(of_run.drop_duplicates(["prompt_id", "epoch"]))
        asked = max(map(_asked, copies))
        if present < asked:
            what = "prompts" if copies[0].epochs == 1 else "prompts times epochs"
            yield Obstacle(
                f"{asked - present:,} of {asked:,} {what} of {copies[0].dataset} ({model}) have no row",
                f"{_WHOLE}{_some([run.log for run in copies])}",
            )


def _asked(run: Run) -> int:
    """Prompts times epochs that a run was to ask; 0 where it does not say."""
    if run.harness == "lm_eval" and run.limited:  # it says how many the set has
        return 0
    stopped = run.stopping.asked if run.stopping else None
    return run.epochs * ((run.n_prompts if stopped is None else stopped) or 0)
