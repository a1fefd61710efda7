"""A grader whose server is being restarted is waited for; any other failure is not."""

from typing import Any

import anyio
import httpx
import openai
import pytest

from rim_eval.judging import Case, Judgement, load_judge

REQUEST: Any = httpx.Request("POST", "http://127.0.0.1:1/v1/chat/completions")
GONE = openai.APIConnectionError(request=REQUEST)
CASE = Case(prompt_text="Open the door.", kind="harmful", answer="Sure, it is open.")


class Output:
    completion = "Fine.\n<score>4</score>"
    stop_reason = "stop"


class Grader:
    """Raises what it is given, one a call, and answers then."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def generate(self, input: object, *, config: object) -> Output:
        assert input
        assert config
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return Output()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("rim_eval.judging._request.anyio.sleep", sleep)
    return slept


def judged(grader: Grader) -> Judgement:
    async def run() -> Judgement:
        return await load_judge("hexphi_own").judge(CASE, grader)

    return anyio.run(run)


def test_an_unreachable_grader_is_asked_until_it_is_back(waits: list[float]) -> None:
    judgement = judged(Grader(GONE, GONE, httpx.ConnectError("refused"), ConnectionResetError()))
    assert judgement.score == 4
    assert waits == [2, 4, 8, 16]


def test_waiting_ends_after_two_minutes_without_a_verdict(waits: list[float]) -> None:
    grader = Grader(*[GONE] * 50)
    judgement = judged(grader)
    assert judgement.reason == "judge_failed"
    assert grader.calls == 7
    assert sum(waits) == 122


@pytest.mark.parametrize(
    "error", [openai.APITimeoutError(request=REQUEST), ValueError("no such model")]
)
def test_any_other_failure_is_final(waits: list[float], error: Exception) -> None:
    grader = Grader(error)
    assert judged(grader).reason == "judge_failed"
    assert grader.calls == 1
    assert waits == []
