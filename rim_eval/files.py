"""Files that people exchange: each written whole or not at all, read with bounds on size and depth."""

import json
import os
import re
import time
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from rim_eval.errors import RimError

LARGEST_TEXT: Final = 64 * 2**20
"""Bytes of one JSON text, and of one line of a JSONL file; a sample with a trace of 16,384 tokens has 100 kB."""

_PARTIAL: Final = re.compile(r"\..+\.\d+\.part")
"""Hidden, with the number of the process that writes it."""
_ABANDONED: Final = 3600.0
"""Seconds after which a partial file that nobody writes to is one of a process that was killed; writing takes seconds."""


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
        _search_once(path.parent.absolute())
        yield partial
        partial.replace(path)
    except OSError as error:
        raise RimError(
            f"{path} cannot be written ({error.strerror or error}). It stays as it was: make room, or "
            "choose another place, and give the command again."
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink()


def is_partial(path: Path) -> bool:
    """Tell whether a file is one that `whole_file` was writing when its process was killed, or still is."""
    return bool(_PARTIAL.fullmatch(path.name))


def remove_abandoned(folder: Path, seconds: float = _ABANDONED) -> None:
    """Remove what killed processes left in a folder while they were writing.

    Args:
        folder: The folder, without those in it.
        seconds: How long nobody may have written to a partial file that is removed.
    """
    for other in os.scandir(folder):
        if is_partial(Path(other.name)):
            with suppress(OSError):  # another process may have removed it
                if time.time() - other.stat().st_mtime >= seconds:
                    Path(other).unlink()


@cache
def _search_once(folder: Path) -> None:
    """Not before each file: a site has thousands of them in a folder."""
    remove_abandoned(folder)


def write_whole(contents: Mapping[Path, str | bytes]) -> None:
    """Write files, texts as UTF-8: none takes its place before all of them are written.

    They take their places in reverse order, the first one last: name first the file that stands for the others.

    Args:
        contents: What each file is to hold.

    Raises:
        RimError: One cannot be written. Where one was written and cannot take its place (a folder has
            its name), others may have taken theirs.
    """
    with ExitStack() as files:
        for path, content in contents.items():
            partial = files.enter_context(whole_file(path))
            if isinstance(content, bytes):
                partial.write_bytes(content)
            else:
                partial.write_text(content, encoding="utf-8")


def read_bounded(path: Path, most: int = LARGEST_TEXT) -> bytes:
    """Read a file that is not larger than its kind ever is.

    Args:
        path: The file.
        most: Bytes that are read.

    Raises:
        RimError: It is larger.
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise RimError(f"{path} is larger than {most / 2**20:g} MiB, which no such file is.")
    return content


def parse_json(text: bytes, *, numbers_only: bool = False) -> Any:
    """Parse JSON from outside: bounded in depth (200) and digits, and without lone surrogates.

    Python's own parser takes those, which nothing can write again, and overflows the stack.

    Args:
        text: UTF-8.
        numbers_only: Whether NaN and Infinity are refused, which JSON does not have.

    Raises:
        ValueError: It is not such JSON.
    """
    from pydantic_core import from_json

    return from_json(text.removeprefix(BOM_UTF8), allow_inf_nan=not numbers_only)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        RimError: The file cannot be read, or holds something else.
    """
    try:
        content = parse_json(read_bounded(path))
    except (OSError, ValueError) as error:
        raise RimError(
            f"{path} cannot be read as JSON ({error}). Fetch or write it again."
        ) from None
    if not isinstance(content, dict):
        raise RimError(f"{path} holds no JSON object, but {type(content).__name__}.")
    return content


def keep_lines(path: Path, values: Iterable[Any], what: str) -> None:
    """Append values as JSON lines, each whole whatever became of the line before.

    Args:
        path: The file; its folder is made where it is missing.
        values: What JSON takes.
        what: What would be lost, in words.

    Raises:
        RimError: They cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            # The line before may be one of a process that ended while writing it.
            file.write("".join("\n" + json.dumps(value) for value in values))
    except OSError as error:
        raise RimError(
            f"{path} cannot be written ({error.strerror}), and {what} would be lost. Mend that and give the same "
            "command: it goes on where this one ended."
        ) from None


def kept_lines(path: Path) -> Iterator[Any]:
    """Read what `keep_lines` wrote, none where there is no file; a line that was not written to its end is passed over."""
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        with suppress(ValueError):
            yield json.loads(line)
