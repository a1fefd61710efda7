"""Graders' replies, written down as they come: judging that was interrupted asks no grader twice."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError


class DraftedReply(NamedTuple):
    """What is read of a grader's reply, as `inspect_ai.model.ModelOutput` names it."""

    completion: str
    stop_reason: str


class GraderDrafts:
    """The replies of one unfinished run, by a hash of who was asked what.

    The same question may be asked of several samples: each reply that is there answers it once.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what an earlier run left in the file of drafts; without a file nothing is kept."""
        self._path = path
        self._replies: defaultdict[str, list[DraftedReply]] = defaultdict(list)
        for line in path.read_bytes().split(b"\n") if path and path.is_file() else ():
            with suppress(ValueError, TypeError):  # blank, or not written to its end
                question, *reply = json.loads(line)
                self._replies[question].append(DraftedReply(*reply))

    def take(self, question: str) -> DraftedReply | None:
        """A reply that an earlier run was given to this question; None where none is left."""
        replies = self._replies.get(question)
        return replies.pop(0) if replies else None

    def keep(self, question: str, *reply: str) -> None:
        """Write a reply down before anything is made of it.

        Raises:
            RimError: It cannot be written; further replies would be paid for and lost.
        """
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                # The line before may be one of a process that ended while writing it.
                file.write("\n" + json.dumps([question, *reply]))
        except OSError as error:
            raise RimError(
                f"{self._path} cannot be written ({error.strerror}), and the graders' replies would be lost. "
                "Mend that and give the same command: it goes on where this one ended."
            ) from None


_drafts: Final[ContextVar[GraderDrafts | None]] = ContextVar("grader_drafts", default=None)


def active_drafts() -> GraderDrafts:
    """The drafts of the run that is going on; outside `resuming` they keep nothing."""
    return _drafts.get() or GraderDrafts()


@contextmanager
def resuming(target: Path, *instrument: Any) -> Iterator[None]:
    """Keep all graders' replies while `target` is being made, and take those that an earlier run left.

    When the block ends well, its drafts are removed.

    Args:
        target: The file that will hold the verdicts; the drafts lie beside it.
        *instrument: What tells one judge and its graders from others, as JSON takes it.
    """
    path = target.with_suffix(f".{digest(*instrument)[:16]}.part")
    token = _drafts.set(GraderDrafts(path))
    try:
        yield
    finally:
        _drafts.reset(token)
    path.unlink(missing_ok=True)


def digest(*parts: Any) -> str:
    """The SHA-256 of values that JSON takes, by which one question or instrument is told from others."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
