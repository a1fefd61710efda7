"""A stranger's JSON file, read so that nothing in it can hurt: size, links, nesting, numbers, keys."""

import json
import math
from pathlib import Path
from typing import Any, Final, NoReturn

__all__ = ["MAX_BYTES", "UnreadableError", "read_json"]

MAX_BYTES: Final = 1_000_000
"""A card of twenty sets has about 200 kB."""

_MAX_DEPTH: Final = 24
_MAX_DIGITS: Final = 15
_MAX_SIZE: Final = 1e9


class UnreadableError(ValueError):
    """Why a file is not read."""


def read_json(path: Path) -> Any:
    """The value in a file.

    Raises:
        UnreadableError: The file is a link, no plain file, too large, not UTF-8, not JSON as the standard has it,
            nested too deeply, names a key twice, or holds a number beyond any count of prompts.
    """
    text = _text(path)
    if _depth(text) > _MAX_DEPTH:
        raise UnreadableError(f"nested more than {_MAX_DEPTH} deep")
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
    except UnreadableError:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"not JSON: {error}") from None


def _text(path: Path) -> str:
    if path.is_symlink():
        raise UnreadableError("a link, not a file")
    if not path.is_file():
        raise UnreadableError("not a plain file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UnreadableError(f"{size:,} bytes; at most {MAX_BYTES:,} are read")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"not UTF-8 at byte {error.start}") from None


def _depth(text: str) -> int:
    """Deepest nesting, brackets in strings included: more than it is, never less."""
    deepest = depth = 0
    for character in text:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UnreadableError(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise UnreadableError(f"{name} is no number")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise UnreadableError(f"an integer of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value) or abs(value) > _MAX_SIZE:
        raise UnreadableError(f"the number {digits[:20]} is larger than any count or length here")
    return value
