"""What the grader of a judgement is called, also where several voted on it."""

import hashlib
from collections.abc import Sequence
from typing import Final

__all__ = ["graders_name"]

_LONGEST: Final = 200
"""Characters of a name that a card takes."""


def graders_name(names: Sequence[str]) -> str | None:
    """One name for one instrument: of several graders it says how many vote.

    Args:
        names: The graders' names, in their order.

    Returns:
        `openai/gpt-4.1`, or `panel of 3: a, b, c`; a name too long for a card ends in a hash of all
        of them (each vote names its own grader). None without graders.
    """
    if len(names) < 2:
        return next(iter(names), None)
    whole = f"panel of {len(names)}: {', '.join(names)}"
    if len(whole) <= _LONGEST:
        return whole
    end = f"... ({hashlib.sha256(whole.encode()).hexdigest()[:12]})"
    return whole[: _LONGEST - len(end)] + end
