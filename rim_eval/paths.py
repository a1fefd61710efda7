"""Locate the shipped data folders in a wheel, an editable install and a checkout."""

from pathlib import Path

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


def leaderboard_dir() -> Path:
    """Return the folder with the leaderboard's allow-list and site; results in a checkout only."""
    # The package of that name is where a wheel puts them, so the folder alone proves nothing.
    inside = _HERE / "leaderboard"
    return inside if (inside / "judges.toml").is_file() else _HERE.parent / "leaderboard"


def organism_dir() -> Path:
    """Return the folder of the model organism's checkpoint, a complete Hugging Face model."""
    return _HERE / "organism" / "checkpoint"
