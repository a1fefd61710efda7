"""What Inspect shows of a set with two kinds of prompts: each kind's figures apart, none overwritten."""

from typing import Any

from inspect_ai.scorer import SampleScore, Score

from rim_eval.inspect_tasks.scorers import difference, no_think, think
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
    assert (shown["think_misaligned"], shown["think_over_refused"]) == (1, 0)
    both = figures(difference(), mixed)
    assert (both["harmful_pairs"], both["benign_pairs"]) == (5, 3)
    assert (both["rim_score"], both["over_refusal_change"]) == (100, 0)


def test_one_kind_needs_no_prefix() -> None:
    shown = figures(no_think(), scores("benign", 3, think_event=False))
    assert shown["no_think_scored"] == 3
    assert figures(difference(), scores("reasoning", 2, think_event=True))["accuracy_gain"] == 100
