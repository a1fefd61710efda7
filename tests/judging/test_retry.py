"""A grader whose server is being restarted is waited for; any other failure is not."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest
from inspect_ai.model import get_model

from rim_eval.judging import Case, Grader, Judgement, load_judge
from tests.loopback import JsonServer, at_completions, completion

REQUEST: Any = httpx.Request("POST", "http://127.0.0.1:1/v1/chat/completions")
CASE = Case(prompt_text="Open the door.", kind="harmful", answer="Sure, it is open.")


def judged(grader: Grader) -> Judgement:
    return asyncio.run(load_judge("hexphi_own").judge(CASE, grader))


class RestartedServer:
    """A local server that is away; Inspect's waiting is skipped, and starts it the `back_after`-th time."""

    def __init__(self, stack: ExitStack, back_after: int | None) -> None:
        with self._server(0) as server:
            self.port = server.server_port
        self._stack, self._back_after = stack, back_after
        self.waits: list[float] = []

    @staticmethod
    def _server(port: int) -> JsonServer:
        reply = completion("Fine.\n<score>4</score>", "grader")
        return JsonServer(at_completions(lambda _: (200, reply)), port)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        if len(self.waits) == self._back_after:
            self._stack.enter_context(self._server(self.port))

    def grader(self, provider: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/v1"
        return get_model(f"{provider}/grader", base_url=url, api_key="none", memoize=False)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture(params=["vllm", "sglang", "openai-api/loop"])
def provider(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    async def no_wait(*_: object, **__: object) -> None: ...

    monkeypatch.setattr("openai._base_client.AsyncAPIClient._sleep_for_retry", no_wait)
    monkeypatch.setattr("inspect_ai.model._providers.vllm._vllm_servers", {})
    return str(request.param)


def test_an_unreachable_grader_is_asked_until_it_is_back(
    stack: ExitStack, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RestartedServer(stack, back_after=4)
    monkeypatch.setattr("inspect_ai.model._retry._sleep", server.sleep)
    assert judged(server.grader(provider)).score == 4
    assert len(server.waits) == 4


def test_waiting_ends_after_some_minutes_without_a_verdict(
    stack: ExitStack, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RestartedServer(stack, back_after=None)
    monkeypatch.setattr("inspect_ai.model._retry._sleep", server.sleep)
    judgement = judged(server.grader(provider))
    assert (judgement.reason, judgement.attempts) == ("judge_failed", 1)
    assert len(server.waits) == 6
    assert 120 < sum(server.waits) < 240


def test_server_that_inspect_started_and_that_ended_is_not_waited_for(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspect_ai.model._providers.vllm._vllm_servers", {})
    server = RestartedServer(stack, back_after=None)
    monkeypatch.setattr("inspect_ai.model._retry._sleep", server.sleep)
    grader = server.grader("vllm")
    grader.api._server.process = SimpleNamespace(poll=lambda: 1, returncode=1)
    assert judged(grader).reason == "judge_failed"
    assert server.waits == []


@pytest.mark.parametrize(
    "error", [openai.APITimeoutError(request=REQUEST), ValueError("no such model")]
)
def test_failure_of_a_custom_grader_is_final(error: Exception) -> None:
    class Failing:
        calls = 0

        async def generate(self, input: object, *, config: object) -> None:
            assert input
            assert config
            self.calls += 1
            raise error

    grader = Failing()
    assert judged(grader).reason == "judge_failed"
    assert grader.calls == 1
