"""Locate the shipped data folders in a wheel, an editable install and a checkout."""

import re
from pathlib import Path, PurePath
from typing import Final

_HERE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    inside = _HERE / name
    return inside if inside.is_dir() else _HERE.parent / name


def tasks_dir() -> Path:
    """Return the folder with one sub-folder per prompt set (`set.toml` and lm-eval YAML)."""
    return _shipped("tasks")


def judges_dir() -> Path:
    """Return the folder with one YAML file per judge."""
    return _shipped("judges")


def attacks_dir() -> Path:
    """Return the folder with one TOML file per published attack."""
    return _shipped("attacks")


def leaderboard_dir() -> Path:
    """Return the folder with the leaderboard's allow-list and site; results in a checkout only."""
    # The package of that name is where a wheel puts them, so the folder alone proves nothing.
    inside = _HERE / "leaderboard"
    return inside if (inside / "judges.toml").is_file() else _HERE.parent / "leaderboard"


_LOCAL: Final = re.compile(r"(^|[/:])((?:~[^/:,]*|\.{1,2})?/[^:,]*)")
"""A folder of this machine in a model's name, after the provider or a LoRA adapter's colon."""


def without_folders(model: str, instead: str = "") -> str:
    """Return a model's name without folders of this machine: `hf//srv/Qwen3-4B` becomes `hf/Qwen3-4B`.

    Args:
        model: The name, a list of names, or any other text about models.
        instead: What stands in place of the folders.
    """
    return _LOCAL.sub(
        lambda match: f"{match[1]}{instead}{PurePath(match[2]).name or match[2]}", model
    )


def model_name(model: str) -> str:
    """Return a model's name without folders of this machine, relative ones too: `vllm/out/ckpt` becomes `vllm/ckpt`.

    Whether `out/ckpt` is a folder or a repository is known only where the model runs: name it there, when
    its run is written.

    Args:
        model: The name, with or without the provider (and its service) before it.
    """
    # The adapter that vLLM loads follows a colon.
    return without_folders(":".join(map(_named, model.split(":"))))


def _named(model: str) -> str:
    words = model.split("/")
    for start in range(min(3, len(words))):
        folder = "/".join(words[start:])
        if folder and Path(folder).is_dir():
            return "/".join([*words[:start], Path(folder).absolute().name])
    return model


def organism_dir() -> Path:
    """Return the folder of the model organism's checkpoint, a complete Hugging Face model."""
    return _HERE / "organism" / "checkpoint"
