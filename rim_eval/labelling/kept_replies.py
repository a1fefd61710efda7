"""What the logs of both harnesses keep of each reply beside its row: its text, and signs of the judge's doubt."""

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rim_eval import observations
from rim_eval.generation import REPLIES_KEY, Generation
from rim_eval.judging import Case
from rim_eval.labelling.doubt import graders_disagree, is_near_even
from rim_eval.observations import Observation, Run
from rim_eval.replies import case_of

if TYPE_CHECKING:
    from rim_eval.patterns.rows import PatternRow

_REPLY: Final = ("model", "dataset", "prompt_id", "mode", "dose", "epoch")


class KeptReply(NamedTuple):
    """What a log keeps of a reply beside its row."""

    case: Case
    doubt: bool
    """Whether graders disagreed about it, or a classifier was near even."""


def reply_id(row: "Observation | PatternRow") -> Hashable:
    """What tells a reply apart from all others, whoever judged it."""
    return tuple(getattr(row, name) for name in _REPLY)


def kept_replies(
    files: Sequence[tuple[str | None, str]], runs: Sequence[Run]
) -> Iterator[tuple[Observation, KeptReply]]:
    """Every reply of some logs with its row, once for each judge and copy of the log.

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
        for row, kept in _of_samples(path) if path.endswith(".jsonl") else _of_log(path):
            yield row if label is None else row.model_copy(update={"model": label}), kept


def _of_samples(path: str) -> Iterator[tuple[Observation, KeptReply]]:
    for sample in observations.sample_lines(Path(path)):
        record = sample["record"]
        row = Observation.model_validate(record["observation"])
        case = case_of(sample["doc"], Generation.model_validate(record["generation"]))
        yield row, KeptReply(case, graders_disagree(record.get("judge_votes", ())))


def _of_log(path: str) -> Iterator[tuple[Observation, KeptReply]]:
    for sample in observations.load_inspect_log(path).samples or []:
        stored = sample.store.get(REPLIES_KEY, {})
        for score in (sample.scores or {}).values():
            about = score.metadata or {}
            for arm in observations.arms_of_score(about):
                if arm not in stored:
                    continue
                row = Observation.model_validate(about[arm])
                case = case_of(sample.metadata, Generation.model_validate(stored[arm]))
                votes = about.get("judge_votes", {}).get(arm, ())
                near = is_near_even(score.explanation or "", arm)
                yield row, KeptReply(case, graders_disagree(votes) or near)
