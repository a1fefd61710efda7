"""Read one text out of a publisher's file as data: a whole file, a string of JSON or YAML, or a string constant of Python.

Nothing is executed. A file comes from a data folder where one holds it, else from the cache or the publisher.
"""

import ast
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rim_eval.prompt_sets.download import download_file
from rim_eval.prompt_sets.formats import load_yaml
from rim_eval.prompt_sets.registry import GithubSource, HubSource
from rim_eval.prompt_sets.sources import DATA_VARIABLE

_MAX_BYTES: Final = 2**20

_READERS: Final[dict[str, Callable[[str], Any]]] = {
    ".json": json.loads,
    ".py": ast.parse,
    ".yaml": load_yaml,
}


def publishers_file(
    source: GithubSource | HubSource,
    path: str,
    local: Path,
    data: Path | None = None,
    sha256: str | None = None,
) -> bytes:
    """Return the bytes of a publisher's file.

    Args:
        source: The repository and the commit.
        path: The file in the repository.
        local: Where the file lies in a data folder.
        data: A data folder; that of `RIM_EVAL_DATA` comes second.
        sha256: The file's checksum, where it is known.

    Raises:
        AccessError: There is no network and no copy, or the publisher has not granted access.
        RimError: The repository has no such file, or another one.
    """
    for folder in (data, os.environ.get(DATA_VARIABLE)):
        if folder and (copy := Path(folder).expanduser() / local).is_file():
            return copy.read_bytes()
    return download_file(source, path, sha256=sha256).content


def text_at(name: str, content: bytes, steps: Sequence[str]) -> str:
    """Return the text at one place of a file.

    Args:
        name: The file's name; its ending (.py, .json, .yaml, another) says how it is read.
        content: Its bytes, UTF-8.
        steps: Keys of JSON or YAML, in a list the `id` of an item; in Python names of classes, functions and a constant, then keys of a dictionary.
            None for a whole text file.

    Raises:
        ValueError: The file is too large or cannot be read so, or there is no one string constant at that place.
        SyntaxError: The file is no Python.
    """
    if len(content) > _MAX_BYTES:
        raise ValueError(f"larger than {_MAX_BYTES} bytes")
    value: Any = content.decode("utf-8")
    for ending, read in _READERS.items():
        if name.endswith(ending):
            value = read(value)
    for step in steps:
        members = [member for key, member in _members(value) if key == step]
        if len(members) != 1:
            raise ValueError(f"`{step}` is there {len(members)} times, not once")
        [value] = members
    if isinstance(value, ast.Constant):
        value = value.value
    if not isinstance(value, str):
        raise ValueError(f"{'.'.join(steps) or 'the whole file'} is no string constant")
    return value


def _members(value: Any) -> Iterator[tuple[Any, Any]]:
    """What a JSON object, a dictionary, or the body of a module, class or function holds, by name."""
    if isinstance(value, dict):
        yield from value.items()
    if isinstance(value, list):
        yield from ((item.get("id"), item) for item in value if isinstance(item, dict))
    if isinstance(value, ast.Dict):
        yield from (
            (getattr(key, "value", None), item)
            for key, item in zip(value.keys, value.values, strict=True)
        )
    for node in (
        value.body if isinstance(value, ast.Module | ast.ClassDef | ast.FunctionDef) else ()
    ):
        yield getattr(node, "name", None), node
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            yield getattr(target, "id", None), getattr(node, "value", None)
