"""A panel: several judgements of one case become one, by a strict majority of the votes cast."""

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from statistics import median_low
from typing import Any

from rim_eval.errors import RimError
from rim_eval.judging._case import Case, Judgement, JudgeProvenance


async def judge_by_panel(
    case: Case, members: Sequence[Callable[[Case], Awaitable[Judgement]]]
) -> Judgement:
    """Ask several judges at once and count their votes; each vote is kept.

    The verdict is that of more than half of the votes cast. There is none when the votes tie, or
    when no more than half of the members cast one (the commonest reason is given). With a verdict
    comes the median of the scores behind it, the lower one of two, so that a line on the scale is
    reached where more than half of the votes reach it; judges with different scales have none.

    Args:
        case: The prompt and the reply.
        members: Functions that judge the case, such as `judge.judge` of judges.

    Raises:
        RimError: There are fewer than two members, they do not see the same, or a member raises it.
    """
    from inspect_ai.util import collect

    if len(members) < 2:
        raise RimError(f"A panel needs two judges or more; {len(members)} given.")
    votes: list[Judgement] = await collect(*(member(case) for member in members))
    parts = [vote.provenance for vote in votes]
    if len(inputs := {part.sees for part in parts}) > 1:
        raise RimError(f"The judges of a panel must see the same; they see {sorted(inputs)}.")
    cast = [vote for vote in votes if vote.verdict is not None]
    events = sum(vote.verdict is True for vote in cast)
    outcome: dict[str, Any] = {}
    if len(cast) * 2 <= len(votes) and len(cast) < len(votes):
        [(reason, _)] = Counter(vote.reason for vote in votes if vote.reason).most_common(1)
        failed = (vote.label for vote in votes if vote.reason == reason == "judge_failed")
        outcome = {"reason": reason, "label": next(failed, None)}
    elif events * 2 == len(cast):
        outcome = {"reason": "judge_tied"}
    else:
        outcome = {"verdict": events * 2 > len(cast), **_median_score(cast)}
    return Judgement(
        event=votes[0].event,
        **outcome,
        explanation=f"{events} of {len(cast)} votes, {len(votes)} judges",
        attempts=sum(vote.attempts for vote in votes),
        votes=tuple(votes),
        provenance=JudgeProvenance(
            judge=f"panel({', '.join(dict.fromkeys(part.judge for part in parts))})",
            version="+".join(part.version for part in parts),
            sha256=hashlib.sha256("".join(part.sha256 for part in parts).encode()).hexdigest(),
            grader=", ".join(part.grader for part in parts if part.grader is not None) or None,
            sees=parts[0].sees,
        ),
    )


def _median_score(cast: Sequence[Judgement]) -> dict[str, Any]:
    """Score and thresholds that more than half of the votes reach; nothing without one scale."""
    scores = [vote.score for vote in cast if vote.score is not None]
    if len(scores) < len(cast) or len({vote.provenance.sha256 for vote in cast}) > 1:
        return {}
    names = cast[0].thresholds
    thresholds = {name: median_low(vote.thresholds[name] for vote in cast) for name in names}
    return {"score": median_low(scores), "thresholds": thresholds}
