import re
from pathlib import Path
from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.thinking import (
    effort_switch,
    explicit_switch,
    hosted_switch,
    template_renderer,
)
from rim_eval.thinking.switches import SWITCH_TABLE

TEMPLATES = Path(__file__).parent / "templates"


@pytest.mark.parametrize(
    ("spec", "think", "no_think"),
    [
        ("enable_thinking", {"enable_thinking": True}, {"enable_thinking": False}),
        (" thinking ", {"thinking": True}, {"thinking": False}),
        ("thinking_budget=-1/0", {"thinking_budget": -1}, {"thinking_budget": 0}),
        ("skip_reasoning=false/true", {"skip_reasoning": False}, {"skip_reasoning": True}),
        ("thinking_mode=thinking/chat", {"thinking_mode": "thinking"}, {"thinking_mode": "chat"}),
        ("effort=high/'none'", {"effort": "high"}, {"effort": "none"}),
    ],
)
def test_template_words(spec: str, think: dict[str, Any], no_think: dict[str, Any]) -> None:
    switch = explicit_switch(spec)
    assert switch.kind == "switch"
    assert (switch.think.template_kwargs, switch.no_think.template_kwargs) == (think, no_think)


@pytest.mark.parametrize(
    ("spec", "think", "no_think"),
    [
        ("system:/no_think", "/think", "/no_think"),
        ("system:detailed thinking on|detailed thinking off", "detailed thinking on", "detailed thinking off"),
        ("system:@quick", None, "@quick"),
    ],
)  # fmt: skip
def test_system_words(spec: str, think: str | None, no_think: str) -> None:
    switch = explicit_switch(spec)
    assert (switch.think.system, switch.no_think.system) == (think, no_think)
    suffix = explicit_switch(spec.replace("system:", "user:"))
    assert (suffix.think.user_suffix, suffix.no_think.user_suffix) == (think, no_think)


def test_kinds_without_a_word() -> None:
    assert explicit_switch("forced_empty").no_think.prefill == "<think>\n\n</think>\n\n"
    assert explicit_switch("prompted").kind == "prompted"
    effort = explicit_switch("effort:low,high")
    assert (effort.kind, effort.no_think.reasoning_effort, effort.think.reasoning_effort) == ("effort", "low", "high")  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    ["", "two words", "enable-thinking", "word=1", "word=none/true", "word=true/", "word=1/1", "system:",
     "system:on|", "effort:low", "effort:low,enormous", "effort:high,low", "model:x"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(spec: str) -> None:
    with pytest.raises(RimError):
        explicit_switch(spec)


def test_with_a_renderer_the_switch_is_checked_and_read() -> None:
    v31 = template_renderer((TEMPLATES / "deepseek_v31.jinja").read_text())
    assert explicit_switch("thinking", render=v31).think.opened_by_prompt
    with pytest.raises(RimError, match="changes nothing"):
        explicit_switch("enable_thinking", render=v31)
    r1 = template_renderer((TEMPLATES / "r1_opens.jinja").read_text())
    forced = explicit_switch("forced_empty", render=r1)
    assert (forced.think.opened_by_prompt, forced.no_think.prefill) == (True, "\n</think>\n\n")


@pytest.mark.parametrize(("off", "on"), [("none", "high"), ("minimal", "medium"), ("low", "max")])
def test_effort_is_never_called_a_switch(off: str, on: str) -> None:
    switch = effort_switch(off, on)
    assert switch.kind == "effort"
    assert (switch.no_think.reasoning_effort, switch.think.reasoning_effort) == (off, on)


@pytest.mark.parametrize(
    ("provider", "model", "kind", "off"),
    [
        ("openai", "gpt-5.1", "switch", "none"),
        ("openai", "gpt-5-mini", "effort", "minimal"),
        ("openai", "o4-mini", "effort", "low"),
        ("openai", "gpt-oss-120b", "effort", "low"),
        ("anthropic", "claude-sonnet-4-5", "switch", "none"),
        ("anthropic", "claude-opus-5", "switch", "none"),
        ("anthropic", "claude-opus-5-5", "effort", "low"),
        ("anthropic", "bedrock/anthropic.claude-sonnet-4-5", "switch", "none"),
        ("openai", "azure/gpt-5.4", "switch", "none"),
        ("openai", "gpt-5.4-pro", "effort", "low"),
        ("google", "vertex/gemini-2.5-flash", "switch", "none"),
        ("google", "gemini-2.5-flash-lite", "switch", "none"),
        ("google", "gemini-2.5-pro", "effort", "minimal"),
        ("google", "gemini-3-pro", "effort", "low"),
        ("grok", "grok-4.5", "effort", "low"),
        ("mistral", "mistral-medium-latest", "switch", "none"),
        ("openrouter", "openai/gpt-5.1", "switch", "none"),
        ("openrouter", "qwen/qwq-32b", "effort", "low"),
        ("hf-inference-providers", "Qwen/Qwen3-32B", "effort", "low"),
        ("hf-inference-providers", "openai/gpt-oss-120b:cerebras", "effort", "low"),
        ("groq", "qwen/qwen3-32b", "effort", "low"),
        ("somewhere", "new-model", "effort", "low"),
    ],
)
def test_hosted_off_is_off_only_where_it_is(provider: str, model: str, kind: str, off: str) -> None:
    switch = hosted_switch(provider, model)
    assert switch is not None
    assert (switch.kind, switch.no_think.reasoning_effort) == (kind, off)
    assert provider in switch.evidence


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("qwen3-8b", "body:reasoning.enabled"),
        ("qwen3-8b:free", "body:reasoning.enabled"),
        ("qwen3.5-397b-a17b", "body:reasoning.enabled"),
        ("qwen3-235b-a22b-thinking-2507", "effort:low,high"),
        ("qwen3-235b-a22b-2507", "prompted"),
        ("qwen3-30b-a3b-instruct-2507", "prompted"),
        ("qwen3-coder-30b-a3b-instruct", "prompted"),
        ("deepseek-chat-v3.1", "body:reasoning.enabled"),
        ("deepseek-v3.2-speciale", "effort:low,high"),
        ("glm-4.5-air", "body:reasoning.enabled"),
        ("glm-5.3", "effort:low,high"),
        ("kimi-k2-0905", "prompted"),
        ("kimi-k2.6", "body:reasoning.enabled"),
        ("nemotron-3-nano-30b-a3b", "body:reasoning.enabled"),
    ],
)
def test_which_open_models_a_router_can_switch(model: str, name: str) -> None:
    switch = hosted_switch("openrouter", f"maker/{model}")
    assert switch is not None
    assert switch.name == name
    assert hosted_switch("openai-api/local", model) is None


def test_every_row_of_the_hosted_table_can_be_read() -> None:
    for row in SWITCH_TABLE.hosted:
        assert explicit_switch(row.switch)
        assert re.compile(row.route)
        assert re.compile(row.model.format_map(SWITCH_TABLE.families))


def test_field_of_the_request() -> None:
    switch = explicit_switch("body:thinking.type=enabled/disabled")
    assert (switch.kind, switch.name) == ("switch", "body:thinking.type")
    assert switch.think.body == {"thinking": {"type": "enabled"}}
    assert switch.no_think.body == {"thinking": {"type": "disabled"}}
    assert explicit_switch("body:effort=high/none").no_think.body == {"effort": "none"}
    assert explicit_switch("body:think").no_think.body == {"think": False}
    with pytest.raises(RimError, match=r"body:reasoning\.enabled=true/false"):
        explicit_switch("body:reasoning.enabled=true")
