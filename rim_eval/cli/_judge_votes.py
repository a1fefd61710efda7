"""How far the graders of a panel agree: their single votes, read back from what was written."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Ballot", "agreement_of", "ballots_of_samples", "ballots_of_scores"]

Ballot: TypeAlias = list[bool | None]
"""The graders' verdicts on one reply; None of a grader that gave none."""


def ballots_of_scores(scores: Iterable[Mapping[str, Any]]) -> list[Ballot]:
    """The ballots in the metadata of scores: one a sample and mode that several graders judged."""
    voted = (votes for about in scores for votes in about.get("judge_votes", {}).values())
    return list(_ballots(voted))


def ballots_of_samples(path: Path) -> list[Ballot]:
    """The ballots in a judged sample file of lm-eval."""
    with path.open(encoding="utf-8") as lines:
        records = [json.loads(line).get("record", {}) for line in lines if line.strip()]
    return list(_ballots(record.get("judge_votes", ()) for record in records))


def _ballots(voted: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[Ballot]:
    for votes in voted:
        # The cheap stage of two judges in a row is kept among the votes, but asks no grader.
        ballot = [vote.get("verdict") for vote in votes if vote["judge_model"] is not None]
        if len(ballot) > 1:
            yield ballot


def agreement_of(ballots: Sequence[Ballot]) -> list[str]:
    """Krippendorff's alpha in a sentence; nothing where no panel voted."""
    from rim_eval.judging import krippendorff

    if not ballots:
        return []
    graders = max(map(len, ballots))
    alpha = krippendorff(ballots)
    shown = "not defined (all votes are equal)" if alpha is None else f"{alpha:.3f}"
    return [
        f"{graders} graders vote; Krippendorff's alpha (1 = agreement): {shown}, "
        f"n = {len(ballots)} replies"
    ]
