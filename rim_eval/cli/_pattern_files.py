"""What the words of `rim-eval patterns` write: folders, and figures as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from rim_eval.errors import RimError

__all__ = ["folder", "keep", "plain"]


def folder(path: Path) -> Path:
    """The folder `path`, made where it is not there.

    Raises:
        RimError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RimError(
            f"{path} cannot be a folder: {error.strerror}. Name another --out."
        ) from None
    return path


def plain(found: Sequence[BaseModel]) -> list[Any]:
    """Figures as JSON has them: what is not a number is null."""
    return [json.loads(one.model_dump_json()) for one in found]


def keep(path: Path, name: str, figures: Any) -> None:
    """Put figures in a file under their name, beside those that are there."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(kept | {name: figures}, indent=1) + "\n", encoding="utf-8")
    click.echo(f"Written to {path}", err=True)
