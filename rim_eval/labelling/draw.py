"""Draw the replies of a sheet: at random within strata of mode, verdict and doubt, the same again from the same logs.

Within a stratum of N replies the n with the smallest keyed hashes are drawn, so that each has the probability n / N
and no generator's version matters. The key is made of the whole frame and the seed: without the logs an item's id and
place tell nothing about its mode, verdict or model.
"""

import hashlib
import hmac
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.labelling.sampling_frame import Judged, SamplingFrame
from rim_eval.statistics import StratumKey, allocate
from rim_eval.types import MODES

_OF_PATTERNS: Final = "patterns-"
SHEET_ID: Final = re.compile(r"(?:patterns-)?n(?P<n>\d{1,6})-s(?P<seed>\d{1,18})-[0-9a-f]{16}")


class Item(NamedTuple):
    """One drawn reply."""

    id: str
    """Opaque; the logs say which reply it is."""
    stratum: StratumKey
    reply: Judged

    @property
    def text(self) -> str:
        """What the judge saw of the reply as one text, with headings where there are several parts."""
        parts = self.reply.parts
        if len(parts) == 1:
            return parts[0][1]
        return "\n\n".join(f"[{heading}]\n{text}" for heading, text in parts)


@dataclass(frozen=True)
class Draw:
    """The replies of one sheet.

    Attributes:
        frame: What they were drawn from.
        n: How many were asked for.
        seed: Seed of the draw, 0 or more.
    """

    frame: SamplingFrame
    n: int
    seed: int

    @cached_property
    def sheet(self) -> str:
        """Id of the sheet; the same for the same logs, judge, n and seed, and for no others."""
        start = _OF_PATTERNS if self.frame.about == "patterns" else ""
        return f"{start}n{self.n}-s{self.seed}-{self._hash('sheet', str(self.n))[:16]}"

    @cached_property
    def sizes(self) -> dict[StratumKey, int]:
        """Replies of the frame in each stratum, in a fixed order."""
        return {stratum: len(replies) for stratum, replies in self._strata.items()}

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The drawn replies, shuffled.

        Raises:
            RimError: Fewer replies are asked for than there are strata.
        """
        wanted = allocate(self.sizes, self.n)
        drawn = [
            Item(self._hash("item", reply.key)[:12], stratum, reply)
            for stratum, replies in self._strata.items()
            for reply in sorted(replies, key=lambda reply: self._hash("draw", reply.key))[
                : wanted[stratum]
            ]
        ]
        return tuple(sorted(drawn))

    @cached_property
    def _strata(self) -> dict[StratumKey, list[Judged]]:
        strata: dict[StratumKey, list[Judged]] = defaultdict(list)
        for reply in self.frame.replies:
            strata[stratum_of(reply)].append(reply)
        return dict(sorted(strata.items(), key=lambda each: _order(each[0])))

    def _hash(self, purpose: str, what: str) -> str:
        message = f"{purpose} {self.seed} {what}".encode()
        return hmac.new(self.frame.secret, message, hashlib.sha256).hexdigest()


def stratum_of(reply: Judged) -> StratumKey:
    """The stratum that a reply lies in."""
    return reply.mode, reply.verdict, reply.doubt


def _order(stratum: StratumKey) -> tuple[int, bool, str]:
    """With thinking first, events first."""
    mode, verdict, doubt = stratum
    return [*MODES].index(mode), not verdict, doubt  # type: ignore[arg-type]


def is_of_patterns(sheet: str) -> bool:
    """Whether a sheet, by its id, is about patterns in traces."""
    return sheet.startswith(_OF_PATTERNS)


def draw_again(frames: Sequence[SamplingFrame], sheet: str) -> Draw:
    """The draw that a sheet came from.

    Args:
        frames: What the logs hold.
        sheet: The sheet's id.

    Raises:
        RimError: It is no such id, or these logs and judges do not give this sheet.
    """
    if not (said := SHEET_ID.fullmatch(sheet)):
        raise RimError(
            f"{sheet[:40]!r} is no id of a sheet, such as n80-s0-0123456789abcdef. Give labels that a sheet of "
            "`rim-eval judge sample` was filled with, with its column `sheet` as it was."
        )
    for frame in frames:
        if (draw := Draw(frame, int(said["n"]), int(said["seed"]))).sheet == sheet:
            return draw
    there = "; ".join(map(str, frames))
    raise RimError(
        f"The labels are of sheet {sheet}, which these logs do not give: they are of another run, judge or model, or the "
        f"logs have changed since (judged again, retried, or more of them). Here: {there}. Give exactly the logs that "
        "the sheet was drawn from; a log that was judged again later is left out by naming the files."
    )
