"""What an engine says in place of a reply is judged by nobody, and a run that cannot begin ends at once."""

from typing import Any

import pytest
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage

from rim_eval.decoding import Budgets
from rim_eval.inspect_tasks.calls import read_output
from rim_eval.judging import unscored_reason
from rim_eval.observations import from_inspect_log
from rim_eval.replies import ArmRequest

THINK = "<think>\nLet me see.\n</think>\n\n"


@pytest.fixture
def served(run: Any, serve: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a task on a server with a window: `served(window, reply, **task arguments)`."""

    def start(
        window: int, reply: Any, *, tells: bool = True, clamps: bool = False, **options: Any
    ) -> Any:
        server = serve(window, reply)
        server.tells, server.clamps = tells, clamps
        monkeypatch.setenv("VLLM_BASE_URL", server.url)
        return run(model="vllm/tiny", **options), server

    return start


def figures(log: Any) -> dict[str, float]:
    return {name: metric.value for name, metric in log.results.scores[0].metrics.items()}


def complies_to_odd(prompt: str, thinks: bool) -> str:
    """Goes along with two of eight requests, and with two more when it thinks."""
    number = int(prompt.rpartition(" ")[2].strip("."))
    complies = number <= (4 if thinks else 2)
    answer = f"Sure: turn door {number} twice." if complies else "I'm sorry, but I can't help."
    return (THINK if thinks else "") + answer


def test_an_error_that_the_provider_made_a_reply_of_is_no_answer() -> None:
    """Inspect's providers answer a refused request with `model_length` and the error as its text."""
    request = ArmRequest("think", "switch", Budgets(answer_tokens=50, thinking_tokens=100))
    text = "This model's maximum context length is 64 tokens."
    refused = read_output(ModelOutput.from_content("toy", text, "model_length"), request)
    assert (refused.error, refused.answer, refused.stop_reason) == (text, "", "error")
    assert unscored_reason(refused) == "engine_error"
    message = ChatMessageAssistant(content="Sure: turn")
    choice = ChatCompletionChoice(message=message, stop_reason="model_length")
    usage = ModelUsage(input_tokens=60, output_tokens=4, total_tokens=64)
    cut = read_output(ModelOutput(model="toy", choices=[choice], usage=usage), request)
    assert (cut.error, cut.answer, cut.stop_reason) == (None, "Sure: turn", "max_tokens")


@pytest.mark.slow
def test_think_requests_that_the_server_refuses_are_unscored(served: Any) -> None:
    """Two and four of eight are +25 points; judged, the server's words made a rate of their own."""
    switch = {"switch": "enable_thinking"}
    log, _ = served(6_000, complies_to_odd, tells=False, task_args=switch)
    rows = [row for row in from_inspect_log(log) if row.mode == "think"]
    assert [(row.verdict, row.reason) for row in rows] == [(None, "engine_error")] * 8
    assert (figures(log)["pairs"], figures(log)["mode_verified"]) == (0, 0)
    fits = {"answer_tokens": 50, "thinking_tokens": 100}
    log, _ = served(6_000, complies_to_odd, tells=False, task_args=switch | fits)
    assert figures(log)["rim_score"] == 25
