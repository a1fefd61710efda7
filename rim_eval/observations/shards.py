"""A run that is divided into shards: which prompts each one asks, and whether all of them are there.

Shard `i` of `n` asks a range of the set's prompts in the set's own order, which is fixed by the checksums of its
files. A sample is one prompt in all of its arms, so no division parts a pair.
"""

import re
from collections.abc import Iterable
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from rim_eval.errors import RimError
from rim_eval.formatting import counted
from rim_eval.types import FrozenModel

SHARD: Final = "rim_eval_shard"
"""Key of a log's metadata: which shard of a run it holds."""

_MOST: Final = 10_000
_PLACE: Final = re.compile(r"(\d{1,5})/(\d{1,5})")

_Index = Annotated[int, Field(ge=1, le=_MOST)]


class ShardPlace(FrozenModel):
    """One shard of so many, counted from 1."""

    index: _Index
    count: _Index

    @model_validator(mode="after")
    def _check_index(self) -> Self:
        if self.index > self.count:
            raise ValueError(f"there is no shard {self.index} of {self.count}")
        return self

    @classmethod
    def parse(cls, text: str) -> "ShardPlace":
        """Read `2/8`.

        Raises:
            RimError: It is none such.
        """
        numbers = _PLACE.fullmatch(text.strip())
        index, count = map(int, numbers.groups()) if numbers else (0, 0)
        if not 1 <= index <= count <= _MOST:
            raise RimError(
                f"--shard {text}: write it as INDEX/COUNT, counted from 1, such as 2/8 for the second of eight shards "
                f"(at most {_MOST})."
            )
        return cls(index=index, count=count)

    def range_of(self, prompts: int) -> tuple[int, int]:
        """First prompt of this shard and the one after its last, counted from 0; equal where it has none.

        Args:
            prompts: Prompts of the whole run.
        """
        return prompts * (self.index - 1) // self.count, prompts * self.index // self.count

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


class Shard(ShardPlace):
    """What the log of a shard says of the run that was divided."""

    prompts: int = Field(ge=1)
    """Prompts of the whole run."""
    limited: bool = False
    """Whether the whole run asks only a part of its set."""
    suite: str | None = None
    """Name of the suite's file."""


def missing_shards(shards: Iterable[Shard]) -> list[ShardPlace]:
    """The shards with prompts that are not there.

    Args:
        shards: Those that are there, of one run.

    Raises:
        RimError: They are not of one division.
    """
    present = list(shards)
    if len(divisions := {(each.count, each.prompts) for each in present}) > 1:
        words = " and ".join(
            f"{counted(n, 'shard')} of {counted(prompts, 'prompt')}"
            for n, prompts in sorted(divisions)
        )
        raise RimError(
            f"There are logs of several divisions ({words}), which do not join. Take those of one division."
        )
    indices = {each.index for each in present}
    return [
        place
        for count, prompts in divisions
        for place in (ShardPlace(index=n, count=count) for n in range(1, count + 1))
        if place.index not in indices and len(range(*place.range_of(prompts)))
    ]


def is_whole_division(shards: Iterable[Shard]) -> bool:
    """Tell whether every shard of one division is there, and no shard of another one.

    Args:
        shards: Those that are there, of one model and set.
    """
    present = list(shards)
    return len({(each.count, each.prompts) for each in present}) == 1 and not missing_shards(
        present
    )
