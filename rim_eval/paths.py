"""Where the shipped data folders lie, and how files are written: whole or not at all."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from rim_eval.errors import RimError

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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all: the block writes another one beside it, which then takes its place.

    Folders on the way are made. A full disk, or whatever else ends the block, leaves what was there before.

    Args:
        path: The file.

    Yields:
        Where to write.

    Raises:
        RimError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise RimError(
            f"{path} cannot be written ({error.strerror or error}). Nothing was changed: make room, or "
            "choose another place, and give the command again."
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink()


def write_whole(texts: Mapping[Path, str]) -> None:
    """Write text files, UTF-8, all of them whole or none at all.

    Args:
        texts: What each file is to hold.

    Raises:
        RimError: One cannot be written.
    """
    with ExitStack() as files:
        for path, text in texts.items():
            files.enter_context(whole_file(path)).write_text(text, encoding="utf-8")
