r"""The last `\boxed{}` of a reply, and those joined to it by a comma, "and" or "or".

math-verify extracts boxes too, but joins any that stand close together (`\boxed{3} no, \boxed{4}`),
and a model that corrects itself would have named two answers.
"""

import re
from typing import Final, NamedTuple

_MOST_BOXES: Final = 50
"""Boxes at the end of a reply that are looked at: a looping reply can hold thousands."""

_LONGEST_BOX: Final = 1_200
"""Characters until a box must be closed."""

_BOX: Final = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE: Final = re.compile(r"\\.|[{}]", re.DOTALL)
_JOIN: Final = re.compile(r"[\s$,.;]*(?:,|\band\b|\bor\b)[\s$]*")


class _Box(NamedTuple):
    start: int
    content: int
    end: int
    """Of the content: where the closing brace stands."""


def last_boxed(reply: str) -> str | None:
    """What the last boxes hold, with commas between them; None without a closed box."""
    boxes = _closed_boxes(reply)
    if not boxes:
        return None
    first = len(boxes) - 1
    while first and _JOIN.fullmatch(reply, boxes[first - 1].end + 1, boxes[first].start):
        first -= 1
    return ", ".join(reply[box.content : box.end].strip() for box in boxes[first:])


def _closed_boxes(reply: str) -> list[_Box]:
    """The last boxes, without those inside others."""
    found: list[_Box] = []
    for match in list(_BOX.finditer(reply))[-_MOST_BOXES:]:
        if found and match.start() < found[-1].end:
            continue
        end = _closing_brace(reply, match.end())
        if end is not None:
            found.append(_Box(match.start(), match.end(), end))
    return found


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for match in _BRACE.finditer(text, start, start + _LONGEST_BOX):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return None
