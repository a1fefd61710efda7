"""The parity check: do both harnesses give the same replies and verdicts for the same prompts?"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter

from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.lm_eval_tasks.samples import read_record
from rim_eval.observations import Observation, rows_of_score, sample_lines
from rim_eval.types import MODES, Mode


class Key(NamedTuple):
    """What pairs across harnesses."""

    dataset: str
    prompt_id: str
    mode: Mode


class RecordedReply(NamedTuple):
    """One reply as one harness recorded it."""

    generation: Generation
    observation: Observation


class Parity(NamedTuple):
    """The outcome of the check."""

    compared: int
    disagreements: dict[Key, tuple[str, ...]]
    """Of `answer`, `trace`, `verdict`, `reason`, `label` and `adopted`, those that differ, by reply."""
    only_left: tuple[Key, ...]
    """Replies that only the first harness has, in order."""
    only_right: tuple[Key, ...]

    @property
    def verdicts_agree(self) -> int:
        """Compared replies with the same verdict, or without one for the same reason."""
        apart = [{"verdict", "reason"} & set(each) for each in self.disagreements.values()]
        return self.compared - sum(map(bool, apart))

    @property
    def complete(self) -> bool:
        """Whether both have the same replies and agree on everything."""
        return not (self.disagreements or self.only_left or self.only_right)


def compare(left: Mapping[Key, RecordedReply], right: Mapping[Key, RecordedReply]) -> Parity:
    """Compare what two harnesses recorded, reply by reply.

    Args:
        left: Replies of one run or of several, such as `replies_in_log` gives them.
        right: The other harness's.

    Raises:
        RimError: They have no prompt in common, so there is nothing to compare.
    """
    both = sorted(left.keys() & right.keys())
    if not both:
        raise RimError(
            f"Nothing to compare: {len(left)} replies here, {len(right)} there, and none of them to the "
            "same prompt of the same set in the same mode."
        )
    differences = {key: _differs(left[key], right[key]) for key in both}
    return Parity(
        compared=len(both),
        disagreements={key: differs for key, differs in differences.items() if differs},
        only_left=tuple(sorted(left.keys() - right.keys())),
        only_right=tuple(sorted(right.keys() - left.keys())),
    )


def _differs(one: RecordedReply, other: RecordedReply) -> tuple[str, ...]:
    pairs = {
        "answer": (one.generation.answer, other.generation.answer),
        "trace": (one.generation.trace or "", other.generation.trace or ""),
        "verdict": (one.observation.verdict, other.observation.verdict),
        "reason": (one.observation.reason, other.observation.reason),
        "label": (one.observation.label, other.observation.label),
        "adopted": (one.observation.adopted, other.observation.adopted),
    }
    return tuple(name for name, (a, b) in pairs.items() if a != b)


def replies_in_log(path: str | Path) -> dict[Key, RecordedReply]:
    """The replies of the first epoch in an Inspect log.

    Raises:
        RimError: It is no log of a rim_eval task, or was judged more than once.
    """
    from inspect_ai.log import read_eval_log

    try:
        log = read_eval_log(str(path))
    except Exception as error:  # zip, JSON and file-system errors, by the log's format
        raise RimError(f"{path} cannot be read as an Inspect log ({error}).") from None
    replies = {
        key: reply
        for sample in log.samples or []
        if sample.epoch == 1
        for score in (sample.scores or {}).values()
        for key, reply in _arms(sample.store, rows_of_score(score.metadata))
    }
    if not replies:
        raise RimError(f"{path}: no replies of a rim_eval task in it (task {log.eval.task}).")
    return replies


def _arms(
    store: Mapping[str, object], rows: Iterable[Observation]
) -> Iterator[tuple[Key, RecordedReply]]:
    stored = TypeAdapter(dict[Mode, Generation]).validate_python(
        store.get("rim_eval:generations", {})
    )
    arms = {row.mode: row for row in rows}
    for mode in MODES:
        if mode in arms and mode in stored:
            yield _key(arms[mode]), RecordedReply(stored[mode], arms[mode])


def replies_in_samples(path: str | Path) -> dict[Key, RecordedReply]:
    """The replies in a sample file of lm-eval.

    Raises:
        RimError: It is no sample file of a rim task.
    """
    records = (read_record(Path(path), sample) for sample in sample_lines(Path(path)))
    return {
        _key(record.observation): RecordedReply(record.generation, record.observation)
        for record in records
    }


def _key(row: Observation) -> Key:
    return Key(row.dataset, row.prompt_id, row.mode)
