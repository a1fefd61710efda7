"""Several judges on one reply: a panel that votes."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Judgement, JudgeProvenance
from rim_eval.judging._grader import Grader
from rim_eval.judging._judge import Judge
from rim_eval.types import UnscoredReason

__all__ = ["Member", "Panel", "Seat", "krippendorff", "majority"]


class Member(Protocol):
    """Anything that judges a case by itself: a judge with its grader, a panel."""

    async def judge(self, case: Case) -> Judgement:
        """Judge one reply."""


@dataclass(frozen=True)
class Seat:
    """A judge together with the grader that it asks (None for offline judges)."""

    of: Judge
    grader: Grader | None = None

    async def judge(self, case: Case) -> Judgement:
        """Judge one reply, as `Judge.judge` does."""
        return await self.of.judge(case, self.grader)


@dataclass(frozen=True)
class Panel:
    """Judges that vote; each vote is kept.

    The verdict is that of more than half of the votes cast. There is none when the votes tie, or
    when no more than half of the members cast one.
    """

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        """Refuse a panel of fewer than two."""
        if len(self.members) < 2:
            raise RimError(f"A panel needs two judges or more; {len(self.members)} given.")

    async def judge(self, case: Case) -> Judgement:
        """Ask all members at once and count.

        Raises:
            RimError: A member has no verdict for this kind of prompt, or its grader is missing.
        """
        from inspect_ai.util import collect

        votes: list[Judgement] = await collect(*(member.judge(case) for member in self.members))
        verdict, reason = majority([(vote.verdict, vote.reason) for vote in votes])
        cast = [vote.verdict for vote in votes if vote.verdict is not None]
        return Judgement(
            event=votes[0].event,
            verdict=verdict,
            reason=reason,
            explanation=f"{sum(cast)} of {len(cast)} votes, {len(votes)} judges",
            attempts=sum(vote.attempts for vote in votes),
            votes=tuple(votes),
            provenance=_together(votes),
        )


def majority(
    votes: Sequence[tuple[bool | None, UnscoredReason | None]],
) -> tuple[bool | None, UnscoredReason | None]:
    """The verdict of more than half of the votes cast, or the reason why there is none.

    Args:
        votes: Each judge's verdict, or None and the reason.

    Returns:
        No verdict (and the commonest reason) when no more than half of several judges cast a vote,
        or (`judge_tied`) when the votes cast are even.
    """
    cast = [verdict for verdict, _ in votes if verdict is not None]
    if len(cast) * 2 <= len(votes) and len(cast) < len(votes):
        reasons = Counter(reason for _, reason in votes if reason is not None)
        return None, reasons.most_common(1)[0][0]
    if sum(cast) * 2 == len(cast):
        return None, "judge_tied"
    return sum(cast) * 2 > len(cast), None


def _together(votes: Sequence[Judgement]) -> JudgeProvenance:
    parts = [vote.provenance for vote in votes]
    graders = [part.grader for part in parts if part.grader is not None]
    seen = {part.sees for part in parts}
    if len(seen) > 1:
        raise RimError(f"The judges of a panel must see the same; they see {sorted(seen)}.")
    return JudgeProvenance(
        judge=f"panel({', '.join(dict.fromkeys(part.judge for part in parts))})",
        version="+".join(part.version for part in parts),
        sha256=hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest(),
        grader=", ".join(graders) or None,
        sees=parts[0].sees,
    )


def krippendorff(votes: Sequence[Sequence[bool | None]]) -> float | None:
    """Krippendorff's alpha (nominal) over votes: 1 = agreement, 0 = chance, below 0 = discord.

    Args:
        votes: One sequence a reply, one vote a judge; None where a judge cast none.

    Returns:
        Alpha by Inspect's implementation; None when no reply has two votes, or all votes are equal
        so that chance agreement is undefined.
    """
    from inspect_ai.scorer import SampleScore, Score, krippendorff_alpha

    rows = [[int(vote) for vote in row if vote is not None] for row in votes]
    rows = [row for row in rows if len(row) > 1]
    if len({vote for row in rows for vote in row}) < 2:
        return None
    alpha: Any = krippendorff_alpha()
    value = alpha([SampleScore(score=Score(value=list(row))) for row in rows])
    return float(value) if isinstance(value, int | float) else None
