"""What the logs of both harnesses keep of each judged reply: its row, its text, and signs of the judge's doubt."""

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rim_eval import observations
from rim_eval.errors import RimError
from rim_eval.generation import REPLIES_KEY, Generation
from rim_eval.judging import Case
from rim_eval.labelling.doubt import graders_disagree, is_near_even
from rim_eval.observations import Observation, Run
from rim_eval.replies import case_of

if TYPE_CHECKING:
    from rim_eval.patterns.rows import PatternRow

_REPLY: Final = ("model", "dataset", "prompt_id", "mode", "dose", "epoch")


class KeptReply(NamedTuple):
    """A reply with one judge's row, and what its log keeps beside the row."""

    row: Observation
    prompt: Mapping[str, Any]
    """What a judge is told of its prompt (`rim_eval.replies.prompt_facts`)."""
    reply: Generation
    doubt: bool
    """Whether graders disagreed about it, or a classifier was near even."""

    @property
    def case(self) -> Case:
        """The reply as a judge takes it."""
        return case_of(self.prompt, self.reply)


def reply_id(row: "Observation | PatternRow") -> Hashable:
    """What tells a reply apart from all others, whoever judged it."""
    return tuple(getattr(row, name) for name in _REPLY)


def kept_replies(
    files: Sequence[tuple[str | None, str]], runs: Sequence[Run]
) -> Iterator[KeptReply]:
    """Every reply of some logs, once for each judge and copy of the log.

    Args:
        files: Logs with the model name that they were given, as `observations.log_files` returns them.
        runs: The runs that count: logs that a retry continued are passed over.
    """
    read = {run.log_sha256 for run in runs}
    for label, path in files:
        if "://" not in path:
            with Path(path).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() not in read:
                    continue
        for kept in replies_of(path):
            named = {} if label is None else {"model": label}
            yield kept._replace(row=kept.row.model_copy(update=named))


def replies_of(path: str) -> Iterator[KeptReply]:
    """Every reply of one log, once for each judge.

    Args:
        path: An Inspect log, or an lm-eval sample file of a rim task.

    Raises:
        RimError: It is neither, or of another version of rim_eval.
    """
    return _of_samples(path) if path.endswith(".jsonl") else _of_log(path)


def _of_samples(path: str) -> Iterator[KeptReply]:
    for sample in observations.sample_lines(Path(path)):
        try:
            [row] = observations.from_lm_eval_samples([sample])
        except RimError as error:
            raise RimError(f"{path}: {error}") from None
        record = sample["record"]
        reply = Generation.model_validate(record["generation"])
        yield KeptReply(row, sample["doc"], reply, graders_disagree(record.get("judge_votes", ())))


def _of_log(path: str) -> Iterator[KeptReply]:
    for sample in observations.load_inspect_log(path).samples or []:
        stored = sample.store.get(REPLIES_KEY, {})
        for score in (sample.scores or {}).values():
            about = score.metadata or {}
            arms, rows = observations.arms_of_score(about), observations.rows_of_score(about)
            for arm, row in zip(arms, rows, strict=True):
                if arm in stored:
                    reply = Generation.model_validate(stored[arm])
                    votes = about.get("judge_votes", {}).get(arm, ())
                    near = is_near_even(score.explanation or "", arm)
                    yield KeptReply(row, sample.metadata, reply, graders_disagree(votes) or near)
