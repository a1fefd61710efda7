"""What an engine says in place of a reply is judged by nobody, and a run that cannot begin ends at once."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage

from rim_eval.decoding import Budgets
from rim_eval.inspect_tasks.calls import read_output
from rim_eval.judging import unscored_reason
from rim_eval.observations import from_inspect_log
from rim_eval.observations.inspect_logs import read_inspect_log
from rim_eval.replies import ArmRequest
from rim_eval.thinking import PROBE_QUESTIONS

NAMED = {"switch": "enable_thinking"}
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
        return run(model=f"vllm/{server.name}", **options), server

    return start


def figures(log: Any) -> dict[str, float]:
    return {name: metric.value for name, metric in log.results.scores[0].metrics.items()}


def token_limits(server: Any) -> set[int]:
    """Those of the set's prompts."""
    bodies = [b for b in server.requests if b["messages"][-1]["content"] not in PROBE_QUESTIONS]
    return {body.get("max_completion_tokens") or body["max_tokens"] for body in bodies}


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
    log, _ = served(6_000, complies_to_odd, tells=False, task_args=NAMED)
    rows = [row for row in from_inspect_log(log) if row.mode == "think"]
    assert [(row.verdict, row.reason) for row in rows] == [(None, "engine_error")] * 8
    assert (figures(log)["pairs"], figures(log)["mode_verified"]) == (0, 0)
    fits = {"answer_tokens": 50, "thinking_tokens": 100}
    log, _ = served(6_000, complies_to_odd, tells=False, task_args=NAMED | fits)
    assert figures(log)["rim_score"] == 25


@pytest.mark.slow
def test_default_budgets_are_made_to_fit_the_servers_window(
    served: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log, server = served(4_096, complies_to_odd, task_args=NAMED)
    assert figures(log)["rim_score"] == 25
    [params] = [step.params for step in log.plan.steps if "answer_tokens" in step.params]
    fitted = params["answer_tokens"], params["thinking_tokens"]
    assert fitted == (1_984, 1_984)  # 4,096 less 128 for prompts, halved
    limits = {body.get("max_completion_tokens") or body["max_tokens"] for body in server.requests}
    assert limits == {1_984, 3_968}
    [warning] = [one for one in caplog.messages if "has room for" in one]
    assert "answer_tokens=1984 and thinking_tokens=1984 take the place of 2048 and 16384" in warning
    run = read_inspect_log(log.location).runs[0]
    assert (run.answer_tokens, run.thinking_tokens) == fitted


@pytest.mark.slow
def test_budgets_of_the_user_that_do_not_fit_are_refused_with_numbers_that_do(
    served: Any,
) -> None:
    own = NAMED | {"answer_tokens": 2_000, "thinking_tokens": 3_000}
    with pytest.raises(PrerequisiteError) as refused:
        served(4_096, complies_to_odd, task_args=own)
    message = str(refused.value.message)
    flags = re.search(r"-T answer_tokens=(\d+) -T thinking_tokens=(\d+)", message)
    assert flags is not None
    fits = NAMED | dict(zip(("answer_tokens", "thinking_tokens"), map(int, flags.groups()), strict=True))  # fmt: skip
    log, _ = served(4_096, complies_to_odd, task_args=fits)
    assert figures(log)["rim_score"] == 25
    needed = re.search(r"--max-model-len (\d+)", message)
    assert needed is not None
    log, _ = served(int(needed[1]), complies_to_odd, task_args=own)
    assert figures(log)["rim_score"] == 25


@pytest.mark.slow
def test_prompts_that_leave_no_room_are_refused(served: Any) -> None:
    with pytest.raises(PrerequisiteError, match=r"Leave the longest prompts out"):
        served(66, complies_to_odd, task_args=NAMED)


@pytest.mark.slow
def test_default_budgets_fit_the_longest_reply_of_a_hosted_model(
    run: Any, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-4o writes 16,384 tokens at most, and its provider refuses a request for more."""
    server = serve(10**6, lambda *_: f"{THINK}Sure.")
    server.name = "gpt-4o"
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    hosted = {"model": "openai/gpt-4o", "model_base_url": server.url, "limit": 1}
    run(**hosted, model_args={"responses_api": False}, task_args={"switch": "prompted"})
    limits = token_limits(server)
    assert min(limits) == 2_048
    assert 16_000 < max(limits) <= 16_384
    server.requests.clear()
    own = {"switch": "prompted", "thinking_tokens": 20_000, "answer_tokens": 10}
    run(**hosted, model_args={"responses_api": False}, task_args=own)
    limits = token_limits(server)
    assert limits == {10, 20_010}  # the catalogue may be out of date


COMMANDS: dict[str, tuple[list[str], str]] = {
    "a limit that the modes would share": (
        ["--model", "rim_toy/scripted", "--token-limit", "500"],
        "--token-limit 500 counts the replies of all modes",
    ),
    "no engine": (["--model", "vllm/tiny"], "vllm/tiny needs vLLM, which is not installed"),
    "a dead server": (
        ["--model", "vllm/tiny", "--model-base-url", "http://127.0.0.1:9/v1"],
        "No server answers at http://127.0.0.1:9/v1",
    ),
    "a model that is not served": (
        ["--model", "vllm/other", "--model-base-url", "URL"],
        "does not serve other: it serves organism-",
    ),
    "a model that only its own request shows to be unknown": (
        ["--model", "openai/other", "--model-base-url", "URL", "-M", "responses_api=false"],
        "The run ended without a reply: Error code: 404 - The model `other` does not exist",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", COMMANDS)
def test_a_run_that_cannot_begin_ends_with_one_message_and_a_status(
    case: str, serve: Any, doors: Path, tmp_path: Path
) -> None:
    """Each of its samples failed, and the command ended with a table of NaN as a success."""
    arguments, says = COMMANDS[case]
    if case == "no engine" and importlib.util.find_spec("vllm"):
        pytest.skip("vLLM is installed here")
    server = serve(40_000, complies_to_odd)
    inspect = str(Path(sys.executable).parent / "inspect")
    task = ["rim_eval/prompts", "-T", f"file={doors}", "-T", "judge=none"]
    task += ["-T", "switch=enable_thinking", "--log-dir", str(tmp_path)]
    done = subprocess.run(
        [inspect, "eval", *task, *(server.url if word == "URL" else word for word in arguments)],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"INSPECT_DISPLAY": "plain", "OPENAI_API_KEY": "none"},
    )
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, output
    assert says in output
    if "ended without" not in says:
        assert len(output) < 400  # that message, and no more
        assert server.requests == []


@pytest.mark.slow
def test_an_error_of_one_request_loses_no_other_reply(served: Any) -> None:
    def reply(prompt: str, thinks: bool) -> str | None:
        return None if "number 5" in prompt else complies_to_odd(prompt, thinks)

    log, _ = served(40_000, reply, task_args=NAMED, max_samples=1)
    rows = list(from_inspect_log(log))
    assert log.status == "error"  # so that a retry asks again
    assert len(rows) == 16
    assert [row.reason for row in rows if row.verdict is None] == ["engine_error"] * 2
    assert figures(log)["pairs"] == 7
