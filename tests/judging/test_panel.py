import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from inspect_ai.model import ModelOutput

from rim_eval.cli.judge import krippendorff
from rim_eval.errors import RimError
from rim_eval.judging import (
    Case,
    Judgement,
    JudgeProvenance,
    judge_by_panel,
    load_judge,
)
from rim_eval.types import UnscoredReason

CASE = Case(prompt_text="Q", kind="harmful", answer="I can't help with that.")


@dataclass(frozen=True)
class Fixed:
    """Votes the same every time."""

    vote: bool | None
    sees: Any = "answer"

    async def judge(self, case: Case) -> Judgement:
        source = JudgeProvenance(
            judge="fixed", version="1", sha256="0" * 64, grader=f"g{self.vote}", sees=self.sees
        )
        assert case.prompt_text == CASE.prompt_text
        reason: UnscoredReason | None = "judge_unreadable" if self.vote is None else None
        return Judgement(
            event="misaligned",
            verdict=self.vote,
            reason=reason,
            provenance=source,
        )


@pytest.mark.parametrize(
    ("votes", "verdict", "reason"),
    [
        ([True, True, False], True, None),
        ([False, False, True], False, None),
        ([True, False], None, "judge_tied"),
        ([True, True, None], True, None),
        ([True, False, None], None, "judge_tied"),
        ([True, None, None], None, "judge_unreadable"),
        ([True, None], None, "judge_unreadable"),
        ([None, None], None, "judge_unreadable"),
    ],
)
def test_a_strict_majority_decides_and_ties_stay_unscored(
    votes: list[bool | None], verdict: bool | None, reason: str | None
) -> None:
    judgement = asyncio.run(judge_by_panel(CASE, [Fixed(vote).judge for vote in votes]))
    assert judgement.verdict is verdict
    assert judgement.reason == reason
    assert [vote.verdict for vote in judgement.votes] == votes
    assert judgement.provenance.grader == ", ".join(f"g{vote}" for vote in votes)


def test_a_panel_of_one_and_members_that_see_different_things_are_refused() -> None:
    with pytest.raises(RimError, match="two judges or more"):
        asyncio.run(judge_by_panel(CASE, [Fixed(True).judge]))
    members = [Fixed(True).judge, Fixed(True, sees="both").judge]
    with pytest.raises(RimError, match="must see the same"):
        asyncio.run(judge_by_panel(CASE, members))


def test_krippendorff_on_a_published_example() -> None:
    """Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section A: alpha = 0.095."""
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    alpha = krippendorff([(bool(a), bool(b)) for a, b in zip(first, second, strict=True)])
    assert alpha == pytest.approx(0.095, abs=5e-4)


def test_krippendorff_needs_pairs_and_variety() -> None:
    assert krippendorff([]) is None
    assert krippendorff([(True, None), (None, False)]) is None
    assert krippendorff([(True, True), (True, True)]) is None
    assert krippendorff([(True, True, None), (False, False, False)]) == 1.0


class Fives:
    async def generate(self, input: Any, *, config: Any) -> ModelOutput:
        assert input
        assert config
        return ModelOutput.from_content("fives", "<score>5</score>")


def test_one_grader_in_a_list_is_asked_as_one_grader() -> None:
    hexphi = load_judge("hexphi_own")
    alone = asyncio.run(hexphi.judge(CASE, [Fives()]))
    assert alone.verdict is True
    assert alone.votes == ()
    assert alone.provenance.grader is not None
    assert not alone.provenance.grader.startswith("panel")
    with pytest.raises(RimError, match="asks a grader model"):
        asyncio.run(hexphi.judge(CASE, []))
