"""What is run: models, sets with their arguments, and what a child process is told and says."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveInt, StringConstraints

from rim_eval.observations.shards import Shard
from rim_eval.types import FrozenModel, Name

Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+@-]{0,99}$")]
"""The name of a model or a set in tables and in the names of folders."""

Command = Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class RunModel(FrozenModel):
    """One model of a run."""

    label: Label
    model: Name
    """As Inspect takes it: `hf/FOLDER`, `vllm/BASE:ADAPTER`."""
    args: dict[str, Any] = Field(default={})
    base_url: str | None = None
    serve: Command | None = None
    """What starts its server, where no server answers at `base_url`."""


class RunSet(FrozenModel):
    """One task of a run, with what it is asked with."""

    label: Label | Name
    task: Name
    """Under the name by which Inspect knows it."""
    args: dict[str, Any] = Field(default={})
    limit: PositiveInt | None = None
    epochs: PositiveInt | None = None
    shard: Shard | None = None

    @property
    def is_empty(self) -> bool:
        """Whether this shard has none of the prompts."""
        return self.shard is not None and not len(range(*self.shard.range_of(self.shard.prompts)))

    @property
    def asked_alike(self) -> dict[str, Any]:
        """What sets have in common that Inspect can run in one call, as it wants it."""
        options: dict[str, Any] = {
            "task_args": self.args,
            "limit": self.limit,
            "epochs": self.epochs,
        }
        if self.shard is None:
            return options
        return options | {"limit": self.shard.range_of(self.shard.prompts), "shard": self.shard}


class RunPlan(FrozenModel):
    """Everything that is run: each set on each model."""

    models: tuple[RunModel, ...]
    sets: tuple[RunSet, ...]
    roles: dict[str, Any] = Field(default={})
    """Name of the role to a model, a list of models, or a model with its settings."""
    max_connections: PositiveInt | None = None
    what: Literal["series", "suite"] = "suite"
    """What a person calls it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The models' labels in their order."""
        return tuple(each.label for each in self.models)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The labels of the sets in their order."""
        return tuple(each.label for each in self.sets)

    def groups(self) -> tuple[tuple[RunModel, ...], ...]:
        """Divide the models into child processes, in the order of their first ones.

        `vllm/BASE` and every `vllm/BASE:ADAPTER` with the same arguments share one, so that one server serves them all
        (Inspect starts one for each base, at the first request, with room for all adapters that are named by then).
        Every other model has one of its own, whose end frees the memory.
        """
        groups: list[list[RunModel]] = []
        for each in self.models:
            for group in groups:
                if _share_server(group[0], each):
                    group.append(each)
                    break
            else:
                groups.append([each])
        return tuple(map(tuple, groups))


_VLLM = "vllm/"


def _share_server(one: RunModel, other: RunModel) -> bool:
    if not (one.model.startswith(_VLLM) and other.model.startswith(_VLLM)):
        return False
    bases = {each.model.removeprefix(_VLLM).partition(":")[0] for each in (one, other)}
    servers = [(each.args, each.base_url, each.serve) for each in (one, other)]
    return len(bases) == 1 and servers[0] == servers[1]


def sets_in_calls(sets: Sequence[RunSet]) -> list[list[RunSet]]:
    """Put sets together that are asked alike, in the order of the first of each.

    Inspect runs the tasks of one call beside each other, so that the end of one does not leave an engine idle.

    Args:
        sets: The sets in their order.
    """
    calls: list[list[RunSet]] = []
    for each in sets:
        for call in calls:
            if call[0].asked_alike == each.asked_alike and each.task not in [s.task for s in call]:
                call.append(each)
                break
        else:
            calls.append([each])
    return calls


class ChildJob(FrozenModel):
    """What one child process runs: models that share a server, or one model alone."""

    log_dir: str
    plan: RunPlan


class ChildMessage(FrozenModel):
    """One line of a child process: how far a set is, a warning, or why the child gives up."""

    model: str | None = None
    task: str | None = None
    """Label of the set."""
    done: NonNegativeInt = 0
    """Samples with an outcome; those of an earlier attempt count."""
    total: NonNegativeInt = 0
    warning: str | None = None
    error: str | None = None


class Failure(NamedTuple):
    """A model whose logs are not complete, and why."""

    label: str
    reason: str


def set_of(sets: Sequence[RunSet], task: str, args: Mapping[str, Any]) -> RunSet | None:
    """The set that a log or a running task is of; None where it is none of them.

    Args:
        sets: The sets of a run.
        task: The task's name.
        args: The arguments that it was given.
    """
    of_task = [each for each in sets if each.task == task]
    if len(of_task) == 1:
        return of_task[0]
    return next((each for each in of_task if each.args == args), None)
