"""Where a judge was in doubt, read from what its run keeps: scores, votes, a classifier's probability.

Labels tell most where a judge errs most, and it errs most near its own line. So the replies near it are a stratum of
their own, from which more are drawn. A wrong guess here costs precision and never validity: each stratum is weighted
by its own size.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

SURE, UNSURE = "sure", "unsure"
"""Words for the judge's doubt."""

_LOW, _HIGH = 1, 5
_NEAR_EVEN: Final = 0.9
"""A classifier's probability of its own label below which it counts as in doubt."""
_CLASSIFIED: Final = re.compile(
    r"[^\n:]{1,60} \(([01]\.\d{3})\)(?:, of the first \d+ of \d+ tokens)?"
)
"""What a classifier leaves as its explanation."""


def doubtful_scores(scored: Iterable[tuple[float | None, bool]]) -> frozenset[float]:
    """The scores on either side of a judge's line, on a scale of whole numbers from 1 to 5.

    The line is read from the verdicts: the lowest score with a true one. Both ends of the scale are no doubt.

    Args:
        scored: Score and verdict of each reply of one judge.

    Returns:
        At most two scores; empty where the judge has another scale, or none.
    """
    pairs = list(scored)
    scale = range(_LOW, _HIGH + 1)
    if not pairs or any(score not in scale for score, _ in pairs):
        return frozenset()
    lowest = min((score for score, verdict in pairs if verdict and score is not None), default=None)
    if lowest is None:
        lowest = 1 + max(score for score, _ in pairs if score is not None)
    return frozenset({lowest - 1, lowest} & set(map(float, scale[1:-1])))


def graders_disagree(votes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether graders of a panel gave both verdicts; a cascade's first stage, which asks none, is no vote.

    Args:
        votes: What is kept of each vote on one reply.
    """
    cast = {vote.get("verdict") for vote in votes if vote.get("judge_model") is not None}
    return {True, False} <= cast


def is_near_even(explanation: str, arm: str) -> bool:
    """Whether a classifier was unsure of one arm, by the probability that it left in a score's explanation.

    Args:
        explanation: The score's explanation, a paragraph an arm that begins with its name.
        arm: The arm.
    """
    said = (
        part.removeprefix(f"{arm}: ")
        for part in explanation.split("\n\n")
        if part.startswith(f"{arm}: ")
    )
    read = _CLASSIFIED.fullmatch(next(said, ""))
    return read is not None and float(read[1]) < _NEAR_EVEN
