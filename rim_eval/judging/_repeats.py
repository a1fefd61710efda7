"""Repeats: how often the same judge said the same of replies that it read again. Counts only, no text and no ids."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Literal, Self, TypeVar

from pydantic import Field, NonNegativeInt, ValidationError, model_validator

from rim_eval.errors import RimError, first_complaint
from rim_eval.files import read_json_object
from rim_eval.judging._case import Sees
from rim_eval.types import FiniteModel, FrozenModel, Mode, Name, PromptKind

Item = TypeVar("Item")
Stratum = TypeVar("Stratum", bound=Hashable)


class RepeatCell(FrozenModel):
    """How many replies share the first verdict and what the later readings said."""

    first: bool
    """The verdict that counts in the run."""
    positives: NonNegativeInt
    """Later readings that said yes."""
    readings: NonNegativeInt
    """Later readings with a verdict."""
    replies: int = Field(gt=0)

    @model_validator(mode="after")
    def _nested(self) -> Self:
        if self.positives > self.readings:
            raise ValueError(f"{self.positives} of {self.readings} readings cannot be positive")
        return self


class RepeatedArm(FrozenModel):
    """The replies of one prompt set in one mode that were read again."""

    dataset: Name
    kind: PromptKind
    mode: Mode
    judged: NonNegativeInt
    """Replies with a verdict that they were drawn from."""
    cells: tuple[RepeatCell, ...]


class JudgeRepeats(FiniteModel):
    """`LOG.repeats.json`: one judge's repeated readings of a sample of one log's replies."""

    schema_version: Literal[1] = 1
    rim_eval: Name
    log_sha256: Name
    """SHA-256 of the log whose replies were read."""
    judge: Name
    """`name@version`."""
    judge_sha256: Name
    grader: Name
    sees: Sees
    temperature: float | None
    """Of the grader; None where several graders have several, or it was left to them."""
    times: int = Field(ge=2)
    """Readings asked of each reply, besides the first."""
    seed: int
    """Of the draw."""
    arms: tuple[RepeatedArm, ...]


def read_repeats(path: Path) -> JudgeRepeats:
    """Read what `rim-eval judge repeat` wrote.

    Raises:
        RimError: The file cannot be read, or is not of this shape.
    """
    content = read_json_object(path)
    try:
        return JudgeRepeats.model_validate(content)
    except ValidationError as error:
        raise RimError(
            f"{path} is no file of repeated readings: {first_complaint(error, 'the file')}. "
            "`rim-eval judge repeat LOG` writes them as LOG.repeats.json."
        ) from None


def count_repeats(read: Iterable[tuple[bool, Sequence[bool | None]]]) -> tuple[RepeatCell, ...]:
    """Count replies by their first verdict and their later readings.

    Args:
        read: First verdict and later ones of each reply, None for a reading that gave none.
    """
    cells = Counter(
        (first, sum(v is True for v in later), sum(v is not None for v in later))
        for first, later in read
    )
    return tuple(
        RepeatCell(first=first, positives=positives, readings=readings, replies=n)
        for (first, positives, readings), n in sorted(cells.items())
    )


def readings_of(cells: Iterable[RepeatCell]) -> Counter[tuple[int, int]]:
    """Replies by their positive later readings and all later readings, as `statistics.judge_noise` takes them."""
    replies = Counter[tuple[int, int]]()
    for cell in cells:
        replies[cell.positives, cell.readings] += cell.replies
    return replies


def draw_replies(
    strata: Mapping[Stratum, Sequence[tuple[str, Item]]], n: int, seed: int
) -> dict[Stratum, list[Item]]:
    """Draw replies at random, as many of each stratum as can be.

    Within a stratum every prompt gives one reply before any gives two, because replies to one prompt are alike.

    Args:
        strata: The replies of each mode of each set, each with its prompt's id.
        n: Replies in all.
        seed: Seed of the draw.

    Raises:
        RimError: There are too few for two of each stratum.
    """
    if n < 2 * len(strata):
        raise RimError(
            f"--n {n}: there are {len(strata)} parts (each mode of each set), and each needs two replies at least. "
            f"Give --n {20 * len(strata)} or more."
        )
    drawn: dict[Stratum, list[Item]] = {}
    left = n
    # The smallest first: what it lacks goes to the others.
    for place, name in enumerate(sorted(strata, key=lambda name: len(strata[name]))):
        share = -(-left // (len(strata) - place))
        drawn[name] = _in_random_order(strata[name], f"{seed} {name}")[:share]
        left -= len(drawn[name])
    return {name: drawn[name] for name in strata}


def _in_random_order(replies: Sequence[tuple[str, Item]], seed: str) -> list[Item]:
    random = Random(seed)
    by_prompt = defaultdict[str, list[Item]](list)
    for prompt, reply in random.sample(replies, len(replies)):
        by_prompt[prompt].append(reply)
    rounds = range(max(map(len, by_prompt.values()), default=0))
    return [of[number] for number in rounds for of in by_prompt.values() if number < len(of)]
