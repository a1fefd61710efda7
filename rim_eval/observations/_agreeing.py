"""Runs whose rows would stand in one figure, and were not asked alike: other weights, sampling, budgets."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from rim_eval.observations._run import Problem, Run
from rim_eval.observations._table import Table

__all__ = ["disagreeing_runs"]

_SEED: Final = "seed"
"""Runs of more epochs have other seeds."""


def _decoding(run: Run) -> Any:
    return {name: value for name, value in run.decoding.items() if name != _SEED}


def _prompts(run: Run) -> Any:
    """The content of the prompt set's files, in no order."""
    return sorted(file.sha256 for file in run.provenance.files) if run.provenance else None


_Facts = dict[str, Callable[[Run], Any]]

_OF_A_MODEL: Final[_Facts] = {"weights": lambda run: run.weights}
_WITH_TRACE: Final[_Facts] = {"thinking_tokens": lambda run: run.thinking_tokens}
_OF_A_SET: Final[_Facts] = {
    "decoding": _decoding,
    "answer_tokens": lambda run: run.answer_tokens,
    "prompt_style": lambda run: run.prompt_style,
    "switch": lambda run: run.switch,
    "files of the prompt set": _prompts,
}
"""What the runs of one model and set must have in common; what a log does not tell is not compared."""


def disagreeing_runs(table: Table) -> tuple[Problem, ...]:
    """Runs that no figure may join, as problems of the kind `mismatch`.

    All runs of a model must have the same weights, and those of one set the same sampling (seeds
    apart), answer budget, prompt style, switch and prompts; those with thinking, the same thinking
    budget.
    """
    frame = table.frame
    found: list[Problem] = []
    for model in table.models:
        ours = frame[frame["model"] == model]
        runs = [run for run in table.runs if run.model == model]
        found += _differing(model, None, runs, _OF_A_MODEL)
        for dataset, rows in ours.groupby("dataset", observed=True):
            ids = set(rows["run"].dropna().astype(str))
            thinking = set(rows.loc[rows["mode"] == "think", "run"].dropna().astype(str))
            of_set = [run for run in runs if run.id in ids]
            with_trace = [run for run in of_set if run.id in thinking]
            found += _differing(model, str(dataset), of_set, _OF_A_SET)
            found += _differing(model, str(dataset), with_trace, _WITH_TRACE)
    return tuple(found)


def _differing(
    model: str, dataset: str | None, runs: list[Run], facts: _Facts
) -> Iterator[Problem]:
    for name, fact in facts.items():
        told = {run.log: fact(run) for run in runs if fact(run) is not None}
        values = list(dict.fromkeys(map(str, told.values())))
        if len(values) > 1:
            of_set = f" on {dataset}" if dataset else ""
            says = (
                f"Runs of {model}{of_set} differ in their {name} ({', '.join(v[:60] for v in values[:4])}), so they "
                "make no figure together. Give logs of one way of asking, or name each model: NAME=PATH"
            )
            ids = tuple(sorted(run.id for run in runs))
            yield Problem(
                kind="mismatch", dataset=dataset, says=says, runs=ids, ids=tuple(sorted(told))
            )
