"""Whether runs join pair by pair: no prompt lost, none twice, both of its arms asked alike."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.observations import Problem, Run, Table, check
from rim_eval.observations.shards import Shard, missing_shards

_NEXT: Final = {
    "duplicate": "Leave one of their logs out",
    "half_pair": "Give the run's command again: it asks what is missing, in both modes",
    "missing": "Give the run's command again: it asks only what is missing",
    "incomplete_run": "Give the run's command again: it asks only what is missing",
    "mismatch": "Prompts that were asked otherwise belong to another model's name or another set's",
}
"""What to do about each kind of problem that keeps runs from being joined. Other kinds are remarks."""


class Obstacle(NamedTuple):
    """Why runs do not join, and what to do."""

    says: str
    next_step: str


def obstacles(table: Table) -> tuple[Obstacle, ...]:
    """Everything that keeps the runs of a table from being one run; empty where they join.

    Args:
        table: Observations of all of them.
    """
    found = [*table.problems, *check(table)]
    return (
        *_divided(table.runs),
        *(_obstacle(each, table) for each in dict.fromkeys(found) if each.kind in _NEXT),
    )


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
