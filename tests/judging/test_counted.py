"""Progress of judging that goes on after an interruption: what graders had said counts as done and not as speed."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rim_eval import judging
from rim_eval.progress import Progress


class Killed(BaseException):
    """Ends the process, as far as the judging can tell."""


class Grader:
    def __init__(self, answers: int) -> None:
        self.answers, self.asked = answers, 0

    async def generate(self, *_: Any, **__: Any) -> Any:
        if self.asked == self.answers:
            raise Killed
        self.asked += 1
        return SimpleNamespace(completion="<score>1</score>", stop_reason="stop")

    def __str__(self) -> str:
        return "grader"


def judge_all(grader: Grader, target: Path, progress: Progress) -> None:
    judge = judging.load_judge("hexphi_own")
    cases = [
        judging.Case(prompt_text=f"Open door {n}.", kind="harmful", answer="No.") for n in range(5)
    ]

    async def one_by_one() -> None:
        for case in cases:
            await judging.counted(judge.judge(case, grader), progress)

    with judging.resuming(target, judge.sha256):
        progress.begin("judging", len(cases))
        asyncio.run(one_by_one())


def test_replies_of_the_run_before_are_no_speed(tmp_path: Path) -> None:
    target, first, second = tmp_path / "log.eval", Progress(), Progress()
    with pytest.raises(Killed):
        judge_all(Grader(answers=3), target, first)
    assert (first.done, first.kept) == (3, 0)
    grader = Grader(answers=5)
    judge_all(grader, target, second)
    assert grader.asked == 2
    assert (second.done, second.kept) == (5, 3)
