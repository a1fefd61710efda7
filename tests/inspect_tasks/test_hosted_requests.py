"""What leaves the process for models served by somebody else: both modes' requests, caught on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog

from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.observations import from_inspect_log
from tests.loopback import NOT_FOUND, Body, JsonServer, Reply, completion

STANDARD = {
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "input",
    "max_output_tokens",
}
STANDARD |= {
    "system",
    "contents",
    "stream",
    "temperature",
    "top_p",
    "tools",
    "tool_choice",
    "store",
    "include",
    "seed",
}
STANDARD |= {"stream_options", "cache_control", "random_seed", "prompt_cache_key"}


def reply_to(path: str, model: str) -> dict[str, Any]:
    """The smallest reply that the maker's own client accepts."""
    text = "I cannot help with that."
    if path.endswith("/messages"):
        content = [{"type": "text", "text": text}]
        usage = {"input_tokens": 5, "output_tokens": 5}
        head: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "model": model}
        return head | {"content": content, "stop_reason": "end_turn", "usage": usage}
    if "generateContent" in path:
        candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}
        return {"candidates": [candidate | {"finishReason": "STOP"}]}
    if path.endswith("/responses"):
        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "i", "role": "assistant", "status": "completed"}
        head = {
            "id": "r",
            "object": "response",
            "created_at": 1,
            "model": model,
            "status": "completed",
        }
        rest = {"parallel_tool_calls": False, "tool_choice": "auto", "tools": []}
        return head | rest | {"output": [message | {"content": [part]}]}
    return completion(text, model)


def answer(method: str, path: str, body: Body) -> Reply:
    """Answers as each maker's API does."""
    if method == "GET":
        return 200, {"object": "list", "data": []}
    if "tokenize" in path:
        return NOT_FOUND
    reply = reply_to(path, body.get("model", ""))
    if not body.get("stream") or "choices" not in reply:
        return 200, reply
    [choice] = reply["choices"]
    chunk = choice | {"delta": choice["message"]}
    reply |= {"object": "chat.completion.chunk", "choices": [chunk]}
    return 200, f"data: {json.dumps(reply)}\n\ndata: [DONE]\n\n"


@pytest.fixture
def host(loopback: Any) -> Any:
    return loopback(JsonServer(answer))


def fields(body: dict[str, Any]) -> dict[str, Any]:
    """What a request says beside its prompt and its budget."""
    if "generationConfig" in body:
        return {"thinkingConfig": body["generationConfig"].get("thinkingConfig")}
    return {name: value for name, value in body.items() if name not in STANDARD}


ENABLED = ({"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}})
TYPED = ({"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}})
EFFORT = ({"reasoning_effort": "high"}, {"reasoning_effort": "none"})
LOW = ({"reasoning_effort": "high"}, {"reasoning_effort": "low"})
WORDS = tuple({"chat_template_kwargs": {"enable_thinking": on}} for on in (True, False))
THINKING = tuple({"chat_template_kwargs": {"thinking": on}} for on in (True, False))
BUDGET = tuple(
    {"thinkingConfig": {"include_thoughts": bool(tokens), "thinking_budget": tokens}}
    for tokens in (16000, 0)
)

ROUTED = tuple({"reasoning": {"effort": effort}} for effort in ("high", "none"))
ADAPTIVE = {
    "output_config": {"effort": "high"},
    "thinking": {"type": "adaptive", "display": "summarized"},
}
BUDGETED = {"thinking": {"type": "enabled", "budget_tokens": 16000, "display": "summarized"}}
MINIMAL = tuple({"reasoning": {"effort": effort}} for effort in ("high", "minimal"))

ROUTES: list[tuple[str, str, tuple[dict[str, Any], ...]]] = [
    ("openrouter/qwen/qwen3-32b", "switch", ENABLED),
    ("openrouter/moonshotai/kimi-k2.5:free", "switch", ENABLED),
    ("openrouter/openai/gpt-5.1", "switch", ROUTED),
    (
        "openrouter/moonshotai/kimi-k2-thinking",
        "effort",
        ({"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "low"}}),
    ),
    ("together/deepseek-ai/DeepSeek-V3.1", "switch", ENABLED),
    ("together/deepseek-ai/DeepSeek-R1", "effort", LOW),
    ("together/Qwen/Qwen3-235B-A22B-Instruct-2507", "prompted", ({}, {})),
    ("fireworks/accounts/fireworks/models/glm-4p6", "switch", EFFORT),
    ("hf-inference-providers/deepseek-ai/DeepSeek-V3.1:together", "switch", ENABLED),
    ("hf-inference-providers/zai-org/GLM-4.6:fireworks-ai", "switch", EFFORT),
    ("hf-inference-providers/Qwen/Qwen3-32B", "effort", LOW),
    ("ollama/qwen3:8b", "switch", ROUTED),
    (
        "ollama/qwen3:4b",
        "effort",
        ({"reasoning": {"effort": "high"}}, {"reasoning": {"effort": "low"}}),
    ),
    ("vllm/Qwen/Qwen3-8B", "switch", WORDS),
    ("sglang/deepseek-ai/DeepSeek-V3.1", "switch", THINKING),
    ("openai-api/llama-cpp/qwen3-8b", "switch", WORDS),
    (
        "openai-api/groq/qwen/qwen3-32b",
        "switch",
        ({"reasoning_effort": "default"}, {"reasoning_effort": "none"}),
    ),
    (
        "openai-api/cerebras/zai-glm-4.7",
        "switch",
        ({"disable_reasoning": False}, {"disable_reasoning": True}),
    ),
    ("openai-api/deepinfra/zai-org/GLM-4.6", "switch", EFFORT),
    ("openai-api/zai/glm-4.7", "switch", TYPED),
    (
        "openai-api/dashscope/qwen-plus",
        "switch",
        ({"enable_thinking": True}, {"enable_thinking": False}),
    ),
    ("deepseek/deepseek-chat", "switch", TYPED),
    ("moonshot/kimi-k2.5", "switch", TYPED),
    ("sambanova/Qwen3-32B", "effort", LOW),
    ("litellm-proxy/deepseek/deepseek-v4-flash", "switch", EFFORT),
    ("litellm-proxy/anything", "effort", LOW),
    ("groq/qwen/qwen3-32b", "effort", LOW),
    ("openai/gpt-5.1", "switch", ROUTED),
    ("openai/gpt-5-mini", "effort", MINIMAL),
    ("anthropic/claude-opus-4-5", "switch", (BUDGETED, {})),
    ("anthropic/claude-opus-4-7", "switch", (ADAPTIVE, {"thinking": {"type": "disabled"}})),
    ("anthropic/claude-opus-4-6", "switch", (ADAPTIVE, {})),
    ("google/gemini-2.5-flash", "switch", BUDGET),
    ("mistral/mistral-medium-latest", "switch", EFFORT),
]

MODEL_ARGS = {
    "anthropic": {"streaming": False},
    "litellm-proxy": {"require_model_info": False},
    "mistral": {"conversation_api": False},
}
SDKS = {"anthropic": "anthropic", "google": "google.genai", "groq": "groq", "mistral": "mistralai"}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "kind", "wanted"), ROUTES, ids=[route[0] for route in ROUTES])
def test_each_mode_is_asked_for_in_the_routes_own_words(
    model: str,
    kind: str,
    wanted: tuple[dict[str, Any], ...],
    ask: Any,
    host: JsonServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "rim_eval.thinking.needs_probe", lambda *_: False
    )  # this host never reasons
    log = ask(model)
    assert log.status == "success", log.error
    assert {row.arm_kind for row in from_inspect_log(log)} == {kind}
    assert sorted(map(fields, host.requests), key=str) == sorted(wanted, key=str)


@pytest.mark.slow
def test_a_new_routes_field_is_named_and_the_users_own_fields_stay(
    ask: Any, host: JsonServer
) -> None:
    log = ask("openai-api/new/model", "body:a.b.think=on/off", extra_body={"a": {"c": 1}})
    assert log.status == "success"
    assert [row.arm_kind for row in from_inspect_log(log)] == ["switch"] * 2
    wanted = [{"a": {"b": {"think": word}, "c": 1}} for word in ("off", "on")]
    assert sorted(map(fields, host.requests), key=str) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("flag", [{"reasoning_effort": "high"}, {"reasoning_tokens": 900}])
def test_flags_that_would_set_both_modes_alike_are_refused(
    flag: dict[str, Any], ask: Any, host: JsonServer
) -> None:
    [name] = flag
    with pytest.raises(PrerequisiteError, match=f"--{name.replace('_', '-')}"):
        ask("openrouter/qwen/qwen3-32b", **flag)
    assert not host.requests


@pytest.mark.slow
def test_a_provider_that_sends_no_fields_stops_the_run(ask: Any, host: JsonServer) -> None:
    with pytest.raises(PrerequisiteError, match=r"sends no fields of your own.*openai-api/SERVICE"):
        ask("groq/qwen/qwen3-32b", "body:reasoning_effort=default/none")
    assert not host.requests


@pytest.fixture
def ask(host: JsonServer, doors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks one prompt in both modes through a route's own client, which is told the host's address."""

    def start(model: str, switch: str = "auto", **options: Any) -> EvalLog:
        provider, *rest = model.split("/")
        if provider in SDKS:
            pytest.importorskip(SDKS[provider])
        service = (rest[0] if provider == "openai-api" else provider).upper().replace("-", "_")
        monkeypatch.setenv(f"{service}_API_KEY", "x")
        monkeypatch.setenv("HF_TOKEN", "x")
        [log] = inspect_eval(
            "rim_eval/prompts",
            model=model,
            model_base_url=host.url.removesuffix("/v1") if provider in SDKS else host.url,
            model_args=MODEL_ARGS.get(provider, {}),
            task_args={"file": str(doors), "judge": "refusal", "switch": switch},
            limit=1,
            reasoning_summary="none",  # `auto` makes openai/ try first whether summaries are allowed
            log_dir=str(tmp_path / "logs"),
            display="none",
            **options,
        )
        return log

    return start
