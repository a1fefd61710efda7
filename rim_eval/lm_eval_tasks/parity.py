"""The parity check: do both harnesses give the same replies and verdicts for the same prompts?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from rim_eval.errors import RimError
from rim_eval.generation import REPLIES_KEY, Generation
from rim_eval.lm_eval_tasks.samples import ReplyRecord, read_record
from rim_eval.observations import Observation, load_inspect_log, rows_of_score, sample_lines
from rim_eval.types import Mode

_GENERATIONS: Final = TypeAdapter(dict[str, Generation])


class Key(NamedTuple):
    """What pairs replies across harnesses."""

    dataset: str
    prompt_id: str
    mode: Mode


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
        differing = map({"verdict", "reason"}.isdisjoint, self.disagreements.values())
        return self.compared - sum(not same for same in differing)

    @property
    def complete(self) -> bool:
        """Whether both have the same replies and agree on everything."""
        return not (self.disagreements or self.only_left or self.only_right)


def compare(left: Mapping[Key, ReplyRecord], right: Mapping[Key, ReplyRecord]) -> Parity:
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
    disagreements: dict[Key, tuple[str, ...]] = {}
    for key in both:
        one, other = _compared(left[key]), _compared(right[key])
        if one != other:
            disagreements[key] = tuple(name for name in one if one[name] != other[name])
    return Parity(
        compared=len(both),
        disagreements=disagreements,
        only_left=tuple(sorted(left.keys() - right.keys())),
        only_right=tuple(sorted(right.keys() - left.keys())),
    )


def _compared(record: ReplyRecord) -> dict[str, object]:
    columns = ("verdict", "reason", "label", "adopted")
    texts = {"answer": record.generation.answer, "trace": record.generation.trace or ""}
    return texts | {name: getattr(record.observation, name) for name in columns}


def replies_in_log(path: str | Path) -> dict[Key, ReplyRecord]:
    """The replies of the first epoch in an Inspect log, without those of a dose, which lm-eval does not have.

    Raises:
        RimError: It is no log of a rim_eval task.
    """
    log = load_inspect_log(path)
    replies: dict[Key, ReplyRecord] = {}
    for sample in log.samples or []:
        by_arm = _GENERATIONS.validate_python(sample.store.get(REPLIES_KEY, {}))
        asked = {(one.mode, one.dose, one.attack): one for one in by_arm.values()}
        for score in (sample.scores or {}).values() if sample.epoch == 1 else ():
            for row in rows_of_score(score.metadata):
                if reply := asked.get((row.mode, None, row.attack)):
                    replies[_key(row)] = ReplyRecord(generation=reply, observation=row)
    return replies


def replies_in_samples(path: str | Path) -> dict[Key, ReplyRecord]:
    """The replies in a sample file of lm-eval.

    Raises:
        RimError: It is no sample file of a rim task.
    """
    records = (read_record(Path(path), sample) for sample in sample_lines(Path(path)))
    return {_key(record.observation): record for record in records}


def _key(row: Observation) -> Key:
    return Key(row.dataset, row.prompt_id, row.mode)
