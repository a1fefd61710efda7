"""The folder of a suite: what it holds, where each shard's logs are, and that it is this suite's."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.files import read_json_object, write_whole
from rim_eval.observations.shards import ShardPlace
from rim_eval.suite.jobs import RunPlan
from rim_eval.suite.names import without_secrets
from rim_eval.suite.run import finished_logs, unfinished_sets

SETTINGS_FILE: Final = "suite.json"
_SHARDS: Final = "shards"
_SHARD_FOLDER: Final = re.compile(r"(\d+)-of-(\d+)")


def open_suite(folder: Path, plan: RunPlan) -> None:
    """Write what a suite asks, where the folder does not say it yet and holds nothing that was asked otherwise.

    Args:
        folder: Folder of the suite.
        plan: What is run.

    Raises:
        RimError: As `refuse_other` does.
    """
    present, wanted = refuse_other(folder, plan), _settings(plan)
    if not wanted.items() <= present.items():
        write_whole({folder / SETTINGS_FILE: json.dumps(present | wanted, indent=1) + "\n"})


def refuse_other(folder: Path, plan: RunPlan) -> dict[str, Any]:
    """Make sure that what the folder holds was asked alike; nothing is written.

    Models and sets may be added, and what decides may change. Values whose names look like a secret's are neither
    written nor compared.

    Args:
        folder: Folder of the suite.
        plan: What is run.

    Returns:
        What the folder says was asked; empty where it is new.

    Raises:
        RimError: A model or set was asked otherwise before, or the folder holds logs of something else.
    """
    file, wanted = folder / SETTINGS_FILE, _settings(plan)
    if not file.exists():
        if folder.is_dir() and next(folder.rglob("*.eval"), None) is not None:
            raise RimError(
                f"{folder} holds logs and no {SETTINGS_FILE}: give the suite another folder (out)."
            )
        present: dict[str, Any] = {}
    else:
        present = read_json_object(file)
    differing = [
        f"{key} was {_short(before)} and is now {_short(wanted[key])}"
        for key, before in present.items()
        if key in wanted and wanted[key] != before
    ]
    if differing:
        raise RimError(
            f"{folder} holds runs that were asked otherwise: {'; '.join(differing)}. Put it back, call the changed one by a "
            "name of its own (name: ...), or give the suite another folder (out)."
        )
    return present


def _settings(plan: RunPlan) -> dict[str, Any]:
    """What figures follow from, by model and set."""
    models = {
        f"model {each.label}": each.model_dump(mode="json", include={"model", "args"})
        for each in plan.models
    }
    sets = {
        f"set {each.label}": each.model_dump(mode="json", exclude={"label", "shard"})
        for each in plan.sets
    }
    settings: dict[str, Any] = without_secrets({**models, **sets, "roles": plan.roles})
    return settings


def _short(value: Any) -> str:
    return json.dumps(value)[:200]


def shard_folder(folder: Path, place: ShardPlace) -> Path:
    """Where a shard has its logs.

    Args:
        folder: Folder of the suite.
        place: The shard.
    """
    return folder / _SHARDS / f"{place.index}-of-{place.count}"


def division(folder: Path) -> int | None:
    """How many shards a suite was divided into; None where it was not.

    Args:
        folder: Folder of the suite.

    Raises:
        RimError: It holds shards of several divisions, or beside a run of the whole.
    """
    found = [_SHARD_FOLDER.fullmatch(each.name) for each in (folder / _SHARDS).glob("*-of-*")]
    counts = {int(each[2]) for each in found if each}
    if len(counts) > 1:
        raise RimError(
            f"{folder / _SHARDS} holds shards of several divisions ({', '.join(map(str, sorted(counts)))}), which do not "
            "join. Move those of one of them away."
        )
    if counts and (folder / "logs").is_dir():
        raise RimError(
            f"{folder} holds shards and a run of the whole (logs), which would count prompts twice. Move one of them away."
        )
    return counts.pop() if counts else None


class FinishedLog(NamedTuple):
    """A log that ended well, and whose it is."""

    model: str
    """The model's label."""
    path: Path


class Work(NamedTuple):
    """What is left to do: a model's sets, in one place."""

    model: str
    sets: tuple[str, ...]
    shard: ShardPlace | None


def places(folder: Path, plans: Mapping[ShardPlace | None, RunPlan]) -> Iterator[tuple[ShardPlace | None, Path, RunPlan]]:  # fmt: skip
    """Each place with its folder and what is run there.

    Args:
        folder: Folder of the suite.
        plans: What is run in each shard, or under None as a whole.
    """
    for place, plan in plans.items():
        yield place, folder if place is None else shard_folder(folder, place), plan


def finished(folder: Path, plans: Mapping[ShardPlace | None, RunPlan]) -> tuple[FinishedLog, ...]:
    """The logs of all places that ended well, by model, set and shard in their order.

    Args:
        folder: Folder of the suite.
        plans: What is run in each shard, or under None as a whole.
    """
    by_place = [(finished_logs(at, plan), plan) for _, at, plan in places(folder, plans)]
    models, sets = by_place[0][1].labels, by_place[0][1].tasks
    return tuple(
        FinishedLog(model, logs[model][each])
        for model in models
        for each in sets
        for logs, _ in by_place
        if each in logs[model]
    )


def unfinished(folder: Path, plans: Mapping[ShardPlace | None, RunPlan]) -> tuple[Work, ...]:
    """What is left to do.

    Args:
        folder: Folder of the suite.
        plans: What is run in each shard, or under None as a whole.
    """
    return tuple(
        Work(model, tuple(each.label for each in sets), place)
        for place, at, plan in places(folder, plans)
        for model, logs in finished_logs(at, plan).items()
        if (sets := unfinished_sets(plan, logs))
    )
