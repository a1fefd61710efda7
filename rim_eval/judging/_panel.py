"""A panel: the votes of several graders become one judgement, under one name."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from statistics import median_low
from typing import Any, Final

from rim_eval.judging._case import Judgement

_LONGEST_NAME: Final = 200
"""Characters of a name that a card takes."""


def count_votes(votes: Sequence[Judgement]) -> dict[str, Any]:
    """Count the votes of a panel; each vote is kept.

    The verdict is that of more than half of the votes cast. There is none when the votes tie, or when
    no more than half of the graders cast one (the commonest reason is given). With a verdict comes the
    median of the scores behind it, the lower one of two, so that a line on the scale is reached where
    more than half of the votes reach it.

    Args:
        votes: Judgements of one reply by one judge, with a grader each; two or more.

    Returns:
        The fields of the panel's judgement, but `event` and `provenance`.
    """
    cast = [vote for vote in votes if vote.verdict is not None]
    events = sum(vote.verdict is True for vote in cast)
    fields = {
        "explanation": f"{events} of {len(cast)} votes, {len(votes)} graders",
        "attempts": sum(vote.attempts for vote in votes),
        "votes": tuple(votes),
    }
    if len(cast) * 2 <= len(votes) and len(cast) < len(votes):
        [(reason, _)] = Counter(vote.reason for vote in votes if vote.reason).most_common(1)
        failed = (vote.label for vote in votes if vote.reason == reason == "judge_failed")
        return fields | {"reason": reason, "label": next(failed, None)}
    if events * 2 == len(cast):
        return fields | {"reason": "judge_tied"}
    scores = [vote.score for vote in cast if vote.score is not None]
    thresholds = {
        name: median_low(vote.thresholds[name] for vote in cast) for name in cast[0].thresholds
    }
    score = median_low(scores) if scores else None
    return fields | {"verdict": events * 2 > len(cast), "score": score, "thresholds": thresholds}


def graders_name(names: Sequence[str]) -> str | None:
    """One name for one instrument: of several graders it says how many vote.

    Args:
        names: The graders' names, in their order.

    Returns:
        `openai/gpt-4.1`, or `panel of 3: a, b, c`; a name too long for a card ends in a hash of all
        of them (each vote names its own grader). None without graders.
    """
    if len(names) < 2:
        return next(iter(names), None)
    name = f"panel of {len(names)}: {', '.join(names)}"
    if len(name) <= _LONGEST_NAME:
        return name
    suffix = f"... ({hashlib.sha256(name.encode()).hexdigest()[:12]})"
    return name[: _LONGEST_NAME - len(suffix)] + suffix
