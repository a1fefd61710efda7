"""A run that could stop early is no whole set, and its figures are others."""

from typing import Any

from tests.leaderboard.conftest import Submission


def test_a_run_that_could_stop_early_is_not_taken(submission: Submission) -> None:
    stopping = {
        "rule": "whether x",
        "level": 0.95,
        "least": 20,
        "order_seed": 0,
        "prompts": 220,
        "asked": 30,
    }

    def stop(card: Any) -> None:
        card["runs"][0]["stopping"] = stopping

    submission.edit(stop)
    assert (
        "could stop early; the leaderboard takes runs of whole sets, without -T stop"
        in submission.reasons()
    )
