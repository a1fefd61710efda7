"""Finding and reading the entries: one `set.toml` in each folder of `tasks/`."""

import difflib
import tomllib
from functools import cache
from pathlib import Path

from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.paths import tasks_dir
from rim_eval.prompt_sets._schema import PromptSet

__all__ = ["entries", "entry", "read_entry"]


def entries() -> dict[str, PromptSet]:
    """All sets of the catalogue by name, sorted."""
    return dict(_read_all(tasks_dir()))


def entry(name: str) -> PromptSet:
    """One set of the catalogue.

    Raises:
        RimError: when there is no set of this name; the message lists the names.
    """
    known = _read_all(tasks_dir())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RimError(
            f"no prompt set is called {name!r}.{hint} There are: {', '.join(known)}. "
            "A file of your own is loaded by its path."
        )
    return known[name]


def read_entry(path: Path) -> PromptSet:
    """Reads and checks one `set.toml`, which must lie in a folder of the set's name.

    Raises:
        RimError: when the file is not valid.
    """
    try:
        found = PromptSet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise RimError(f"{path} is not a valid catalogue entry: {error}") from error
    if found.name != path.parent.name:
        raise RimError(f"{path} names the set {found.name!r}, but its folder {path.parent.name!r}")
    return found


@cache
def _read_all(tasks: Path) -> dict[str, PromptSet]:
    found = [read_entry(path) for path in sorted(tasks.glob("*/set.toml"))]
    return {one.name: one for one in found}
