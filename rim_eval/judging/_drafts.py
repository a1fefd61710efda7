"""Graders' replies, written down as they come: judging that was interrupted asks no grader twice."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
        """Read what an earlier run left.

        Args:
            path: The file of drafts, made with the first reply; None keeps nothing.
        """
        self._path = path
        self._replies: defaultdict[str, list[DraftedReply]] = defaultdict(list)
        if path is not None and path.is_file():
            self._read(path)

    def _read(self, path: Path) -> None:
        for line in path.read_bytes().split(b"\n"):
            try:
                question, *reply = json.loads(line)
                self._replies[question].append(DraftedReply(*reply))
            except (ValueError, TypeError):  # blank, or not written to its end
                continue

    def take(self, question: str) -> DraftedReply | None:
        """A reply that an earlier run was given to this question; None where none is left."""
        replies = self._replies[question]
        return replies.pop(0) if replies else None

    def keep(self, question: str, reply: DraftedReply) -> None:
        """Write a reply down before anything is made of it.

        Args:
            question: Hash of the question.
            reply: The reply.

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
    digest = hashlib.sha256(json.dumps(instrument).encode()).hexdigest()[:16]
    path = target.with_suffix(f".{digest}.part")
    token = _drafts.set(GraderDrafts(path))
    try:
        yield
    finally:
        _drafts.reset(token)
    path.unlink(missing_ok=True)


def question_hash(grader: Any, dialogue: Sequence[tuple[str, str]], config: Any) -> str:
    """Tell one question from others.

    Args:
        grader: The model, by its name.
        dialogue: (role, text) of each message.
        config: The settings of the call.
    """
    about = [str(grader), dialogue, config.model_dump(exclude_none=True)]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()
