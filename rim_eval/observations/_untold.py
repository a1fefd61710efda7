"""What a command on a card does not tell: secrets, and the folders of a machine."""

import re
from pathlib import PurePath
from typing import Final

__all__ = ["is_secret", "without_folder"]

_SECRET: Final = re.compile(
    r"key|(?<!bos_)token(?!s|iz)|secret|passw|credential|auth|url|header|cookie", re.IGNORECASE
)


def is_secret(name: str) -> bool:
    """Whether an argument of this name may hold a secret or an address."""
    return _SECRET.search(name) is not None


def without_folder(text: str) -> str:
    """A text as it is; of an absolute path only its last part, for it tells about the machine."""
    path = PurePath(text)
    return f".../{path.name}" if path.is_absolute() or text.startswith("~") else text
