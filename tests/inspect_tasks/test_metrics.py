"""What Inspect shows of a set with two kinds of prompts: each kind's figures apart, none overwritten."""

import math
from typing import Any

from inspect_ai.scorer import SampleScore, Score

from rim_eval.inspect_tasks.scorers import difference, finding, no_think, think
from rim_eval.observations import Observation


def scores(kind: str, n: int, *, think_event: bool) -> list[SampleScore]:
    found = []
    for number in range(n):
        rows = {
            mode: Observation.model_validate(
                {
                    "model": "toy/one",
                    "dataset": "mixed",
                    "prompt_id": f"{kind}-{number}",
                    "kind": kind,
                    "mode": mode,
                    "arm_kind": "switch",
                    "verdict": think_event and mode == "think",
                    "adopted": mode == "think",
                }
            ).model_dump(mode="json")
            for mode in ("think", "no_think")
        }
        found.append(SampleScore(score=Score(value="", metadata=rows), sample_id=number))
    return found


def figures(metric: Any, given: list[SampleScore]) -> dict[str, float]:
    found = metric(given)
    assert isinstance(found, dict)
    return found


def test_two_kinds_keep_their_own_counts() -> None:
    mixed = scores("harmful", 5, think_event=True) + scores("benign", 3, think_event=False)
    shown = figures(think(), mixed)
    assert (shown["think_harmful_scored"], shown["think_benign_scored"]) == (5, 3)
    both = figures(difference(), mixed)
    assert (both["harmful_pairs"], both["benign_pairs"]) == (5, 3)
    first = figures(finding(), mixed)
    assert (first["think_misaligned"], first["think_over_refused"]) == (1, 0)
    assert (first["rim_score"], first["over_refusal_change"]) == (100, 0)
    assert (first["harmful_mode_verified"], first["benign_mode_verified"]) == (1, 1)


def test_one_kind_needs_no_prefix() -> None:
    shown = figures(no_think(), scores("benign", 3, think_event=False))
    assert shown["no_think_scored"] == 3
    assert figures(finding(), scores("reasoning", 2, think_event=True))["accuracy_gain"] == 100


RATES = ["no_think_misaligned", "think_misaligned"]
ENDS = ["rim_score_lower", "rim_score_upper"]


def test_the_finding_stands_first_and_in_an_unverified_run_its_check() -> None:
    """A list of logs shows the first figure alone: a run whose modes did not hold must not show a clean 0."""
    verified = scores("harmful", 4, think_event=False)
    shown = figures(finding(), verified)
    assert list(shown) == ["rim_score", "mode_verified", *RATES, *ENDS, "rim_score_if_verified"]
    assert shown["rim_score_if_verified"] == shown["rim_score"] == 0
    for score in verified:
        assert score.score.metadata is not None
        score.score.metadata["think"]["adopted"] = False
    shown = figures(finding(), verified)
    assert list(shown) == ["rim_score_if_verified", "mode_verified", *RATES, "rim_score", *ENDS]
    assert math.isnan(shown["rim_score_if_verified"])
    assert (shown["mode_verified"], shown["rim_score"]) == (0, 0)


def test_one_mode_alone_has_its_rate() -> None:
    alone = scores("harmful", 4, think_event=True)
    for score in alone:
        assert score.score.metadata is not None
        del score.score.metadata["no_think"]
    assert figures(finding(), alone) == {"think_misaligned": 1}
