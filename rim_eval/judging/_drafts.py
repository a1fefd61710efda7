"""Graders' replies, written down as they come: judging that was interrupted asks no grader twice."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TypeVar

from rim_eval.files import keep_lines, kept_lines
from rim_eval.progress import Progress

Result = TypeVar("Result")

_Reply = tuple[str, str]
"""Completion and stop reason, as `inspect_ai.model.ModelOutput` names them."""
_drafts: Final[ContextVar[tuple[Path, defaultdict[str, list[_Reply]]] | None]] = ContextVar(
    "grader_drafts", default=None
)
"""The file, and what an earlier run left in it by a hash of who was asked what. The same question may be asked of
several samples, and each reply answers it once (Inspect's cache of generations has one reply for all)."""
_asked: Final[ContextVar[Counter[str] | None]] = ContextVar("grader_asked", default=None)
"""Of the work that is counted at the moment: replies that were kept, and ones that were asked for."""


async def counted(work: Awaitable[Result], progress: Progress | None) -> Result:
    """Await the judging of one reply, and count it; as kept where an earlier run was given all that graders said.

    Args:
        work: The judging.
        progress: Where it is counted; None for nowhere.
    """
    asked = Counter[str]()
    token = _asked.set(asked)
    try:
        result = await work
    finally:
        _asked.reset(token)
    if progress is not None:
        progress.add(kept=asked["kept"] > 0 and not asked["fresh"])
    return result


def _tally(what: str) -> None:
    asked = _asked.get()
    if asked is not None:
        asked[what] += 1


def take_draft(question: str) -> _Reply | None:
    """A reply that an earlier run was given to this question; None where none is left, and outside `resuming`."""
    drafts = _drafts.get()
    reply = drafts[1][question].pop(0) if drafts and drafts[1][question] else None
    _tally("fresh" if reply is None else "kept")
    return reply


def keep_draft(question: str, reply: _Reply) -> None:
    """Write a reply down before anything is made of it; outside `resuming` nothing is kept.

    Raises:
        RimError: It cannot be written; further replies would be paid for and lost.
    """
    path = (_drafts.get() or (None, {}))[0]
    if path is None:
        return
    keep_lines(path, [[question, *reply]], "the graders' replies")


@contextmanager
def resuming(target: Path, *instrument: Any) -> Iterator[None]:
    """Keep all graders' replies while `target` is being made, and take those that an earlier run left.

    When the block ends well, its drafts are removed.

    Args:
        target: The file that will hold the verdicts; the drafts lie beside it.
        *instrument: What tells one judge and its graders from others, as JSON takes it.
    """
    path = target.with_suffix(f".{digest(*instrument)[:16]}.part")
    replies: defaultdict[str, list[_Reply]] = defaultdict(list)
    for line in kept_lines(path):
        with suppress(ValueError, TypeError):  # no reply
            question, completion, stop_reason = line
            replies[question].append((completion, stop_reason))
    token = _drafts.set((path, replies))
    try:
        yield
    finally:
        _drafts.reset(token)
    path.unlink(missing_ok=True)


def digest(*parts: Any) -> str:
    """The SHA-256 of values that JSON takes, by which one question or instrument is told from others."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
