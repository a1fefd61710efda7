import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.thinking import (
    Recipe,
    Renderer,
    Switch,
    find_switch,
    has_inline_switch,
    require_difference,
    template_renderer,
)

TEMPLATES = Path(__file__).parent / "templates"


def renderer(name: str) -> Renderer:
    return template_renderer((TEMPLATES / f"{name}.jinja").read_text())


# name: (kind, name of the switch, think value, no-think value, think prompt ends inside a trace)
WORDS: dict[str, tuple[str, str, Any, Any, bool]] = {
    "qwen3": ("switch", "enable_thinking", True, False, False),
    "qwen35_opens": ("switch", "enable_thinking", True, False, True),
    "deepseek_v31": ("switch", "thinking", True, False, True),
    "deepseek_v4": ("switch", "thinking_mode", "thinking", "none", True),
    "glm": ("switch", "enable_thinking", True, False, False),
    "nemotron_3": ("switch", "enable_thinking", True, False, True),
    "smollm3": ("switch", "enable_thinking", True, False, False),
    "hunyuan": ("switch", "enable_thinking", True, False, False),
    "granite32": ("switch", "thinking", True, False, False),
    "mistral_effort_none": ("switch", "reasoning_effort", "high", "none", False),
    "gpt_oss": ("effort", "reasoning_effort", "high", "low", False),
    "gemma4": ("switch", "enable_thinking", True, False, False),
    "kimi_hybrid": ("switch", "thinking", True, False, True),
    "kimi_k3": ("switch", "thinking", True, False, True),
    "minimax_m3": ("switch", "thinking_mode", "enabled", "disabled", True),
    "seed_oss": ("switch", "thinking_budget", -1, 0, False),
    "exaone4": ("switch", "enable_thinking", True, False, True),
    "hermes4": ("switch", "thinking", True, False, False),
    "holo2": ("switch", "thinking", True, False, True),
    "step_effort_opens": ("effort", "reasoning_effort", "high", "low", True),
    "new_ponder": ("switch", "ponder", True, False, False),
    "new_mode_deep": ("switch", "reasoning_mode", "deep", "swift", True),
    "new_skip": ("switch", "skip_reasoning", False, True, False),
    "new_budget": ("switch", "cogitation_tokens", -1, 0, False),
    "new_nested": ("switch", "deliberate", {"type": "high"}, {"type": "off"}, False),
    "new_macro": ("switch", "temper", "muse", "blurt", True),
    "new_tag": ("switch", "muse", True, False, False),
    "new_effort_words": ("effort", "depth", "high", "low", True),
    "new_effort_printed": ("effort", "zeal", "high", "low", False),
    "new_only_words": ("switch", "musing", True, False, False),
    "new_on_off_line": ("switch", "wander", True, False, False),
    "sentence_on": ("switch", "enable_thinking", True, False, False),
    "sentence_off": ("switch", "skip_thinking", False, True, False),
    "sentence_mode": ("switch", "reasoning_mode", "on", "off", False),
    "sentence_both": ("switch", "thinking_mode", "on", "off", False),
    "sentence_default_on": ("switch", "disable_cot", False, True, False),
    "new_on_off_default": ("switch", "thinking_option", "on", "off", False),
    "effort_empty_trace": ("switch", "reasoning_effort", "high", "minimal", False),
    "effort_sentences": ("effort", "reasoning_effort", "high", "low", False),
    "nested_twice": (
        "switch",
        "chat_options",
        {"thinking": {"type": "high"}},
        {"thinking": {"type": "disabled"}},
        True,
    ),
    "budget_text": ("switch", "thought_tokens", "unlimited", "0", False),
    "budget_opens": ("switch", "thinking_budget", 1024, 0, True),
    "date_and_switch": ("switch", "rational_mode", "on", "off", False),
}


@pytest.mark.parametrize(("template", "expected"), WORDS.items(), ids=WORDS)
def test_a_word_that_the_template_reads(
    template: str, expected: tuple[str, str, Any, Any, bool]
) -> None:
    kind, word, think, no_think, opened = expected
    render = renderer(template)
    switch = find_switch(render)
    assert (switch.kind, switch.name) == (kind, word)
    assert switch.think.template_kwargs == {word: think}
    assert switch.no_think.template_kwargs == {word: no_think}
    assert type(switch.think.template_kwargs[word]) is type(think)
    assert switch.think.opened_by_prompt is opened
    require_difference(render, switch)


def test_one_variable_forces_a_trace_and_another_one_skips_it() -> None:
    """HyperCLOVA X: with neither the model decides itself, which is neither mode."""
    render = renderer("force_or_skip")
    switch = find_switch(render)
    assert (switch.kind, switch.name) == ("switch", "force_reasoning/skip_reasoning")
    assert switch.think.template_kwargs == {"force_reasoning": True}
    assert switch.no_think.template_kwargs == {"skip_reasoning": True}
    assert switch.think.opened_by_prompt
    require_difference(render, switch)


# name: (system or user, think word, no-think word)
SOFT: dict[str, tuple[str, str | None, str | None]] = {
    "nemotron_nano": ("system", "/think", "/no_think"),
    "nemotron_super_v15": ("system", None, "/no_think"),
    "nemotron_v1_reads": ("system", "detailed thinking on", None),
    "new_system_word": ("system", None, "@quick"),
    "new_system_equals": ("system", None, "blurt it out"),
    "new_user_word": ("user", None, "!fast"),
    "magistral_default": ("system", None, "You are a helpful assistant."),
}


@pytest.mark.parametrize(("template", "expected"), SOFT.items(), ids=SOFT)
def test_a_word_in_a_message(template: str, expected: tuple[str, str | None, str | None]) -> None:
    place, think, no_think = expected
    switch = find_switch(renderer(template))
    field = "system" if place == "system" else "user_suffix"
    assert switch.kind == "switch"
    assert switch.name.startswith(place)
    assert (getattr(switch.think, field), getattr(switch.no_think, field)) == (think, no_think)
    require_difference(renderer(template), switch)


FORCED = {
    "r1_opens": (True, "\n</think>\n\n"),
    "olmo3_think": (True, "\n\n</think>\n\n"),
    "phi4_reasoning": (False, "<think>\n\n</think>\n\n"),
    "kimi_thinking": (False, "◁think▷\n\n◁/think▷\n\n"),
    "apriel": (True, "\n[BEGIN FINAL RESPONSE]\n"),
    "nemotron_v1": (False, "<think>\n\n</think>\n\n"),
    "decoy_history": (True, "\n</think>\n\n"),
    "decoy_prose_opens": (True, "\n</think>\n\n"),
    "decoy_replaced_prompt": (False, "<think>\n\n</think>\n\n"),
    "decoy_system_word": (True, "\n</think>\n\n"),
    "decoy_language": (True, "\n</think>\n\n"),
    "decoy_language_printed": (True, "\n</think>\n\n"),
    "decoy_message_flag": (True, "\n</think>\n\n"),
}


@pytest.mark.parametrize(("template", "expected"), FORCED.items(), ids=FORCED)
def test_a_model_that_always_thinks(template: str, expected: tuple[bool, str]) -> None:
    switch = find_switch(renderer(template))
    assert switch.kind == "forced_empty"
    assert (switch.think.opened_by_prompt, switch.no_think.prefill) == expected
    assert switch.think.prefill is None
    assert not switch.no_think.opened_by_prompt


# name: the message that asks. `tools_only` thinks only with tools; in `answer_opened` and `always_closed`
# the prompt has begun the answer, where an empty trace would be a part of it.
ASKED = {
    "plain": "system",
    "plain_no_system": "user_suffix",
    "decoy_text": "system",
    "decoy_prose": "system",
    "decoy_system_text": "user_suffix",
    "decoy_system_tag": "system",
    "tools_only": "system",
    "answer_opened": "system",
    "always_closed": "system",
}


@pytest.mark.parametrize(("template", "place"), ASKED.items(), ids=ASKED)
def test_a_model_that_knows_no_traces_is_asked(template: str, place: str) -> None:
    switch = find_switch(renderer(template))
    assert switch.kind == "prompted"
    assert "<think>" in getattr(switch.think, place)
    assert "<think>" not in getattr(switch.no_think, place)
    require_difference(renderer(template), switch)


def test_every_template_has_an_expectation() -> None:
    expected = {*WORDS, *SOFT, *FORCED, *ASKED, "force_or_skip"}
    assert {path.stem for path in TEMPLATES.iterdir()} == expected


@pytest.mark.parametrize(
    "template", ["qwen3", "deepseek_v31", "glm", "seed_oss", "gemma4", "nemotron_nano"]
)
def test_without_the_source_known_words_are_tried(template: str) -> None:
    render = renderer(template)
    bare = find_switch(lambda messages, words: render(messages, words))
    known = find_switch(render)
    assert (bare.kind, bare.name, bare.no_think) == (known.kind, known.name, known.no_think)


def test_none_is_no_value() -> None:
    """Trap c: a template that asks `is defined` takes None for "no", another for "unset"."""
    smollm, qwen = renderer("smollm3"), renderer("qwen3")
    hello = [{"role": "user", "content": "hello"}]
    assert smollm(hello, {"enable_thinking": None}) == smollm(hello, {"enable_thinking": False})
    assert qwen(hello, {"enable_thinking": None}) == qwen(hello, {"enable_thinking": True})
    with pytest.raises(ValidationError, match="explicit value"):
        Recipe(template_kwargs={"enable_thinking": None})


def test_a_misspelt_word_changes_nothing_and_is_refused() -> None:
    switch = Switch(
        kind="switch",
        name="enable_thinking",
        think=Recipe(template_kwargs={"enable_thinking": True}),
        no_think=Recipe(template_kwargs={"enable_thinking": False}),
        evidence="copied from another model",
    )
    require_difference(renderer("qwen3"), switch)
    with pytest.raises(RimError, match="changes nothing"):
        require_difference(renderer("deepseek_v31"), switch)


def test_evidence_names_the_default_and_the_limits() -> None:
    assert "as for think" in find_switch(renderer("qwen3")).evidence
    assert "as for no-think" in find_switch(renderer("deepseek_v31")).evidence
    assert (
        "beside a system message it changes nothing" in find_switch(renderer("granite32")).evidence
    )
    assert "no known family" in find_switch(renderer("new_tag")).evidence


def test_a_model_whose_template_shows_nothing_is_known_by_name() -> None:
    switch = find_switch(renderer("nemotron_v1"), model="nvidia/Llama-3.1-Nemotron-Nano-8B-v1")
    assert (switch.think.system, switch.no_think.system) == (
        "detailed thinking on",
        "detailed thinking off",
    )
    assert (
        find_switch(renderer("nemotron_v1"), model="nvidia/Nemotron-Super-49B-v1_5").kind
        != "switch"
    )


def test_messages_carry_the_recipe_and_the_task() -> None:
    recipe = Recipe(system="/no_think", user_suffix="Be brief.")
    assert recipe.messages("You sell tea.", "hello") == [
        {"role": "system", "content": "/no_think\n\nYou sell tea."},
        {"role": "user", "content": "hello\n\nBe brief."},
    ]
    assert Recipe().messages(None, "hello") == [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize(
    ("template", "mode", "text", "flips"),
    [
        ("nemotron_nano", "think", "What is 2+2? /no_think", True),
        ("nemotron_nano", "no_think", "See http://tea.example/think", True),
        ("nemotron_nano", "think", "What is 2+2?", False),
        ("qwen3", "think", "What is 2+2? /no_think", True),  # the weights obey it
        ("qwen3", "no_think", "What is 2+2? /think", False),  # the empty trace is already there
        ("qwen3", "think", "Explain the path /no_thinking/x", False),
        ("r1_opens", "think", "What is 2+2? /no_think", False),
        ("new_user_word", "think", "Reply !fast", True),
    ],
)
def test_a_prompt_may_turn_the_mode(template: str, mode: str, text: str, flips: bool) -> None:
    render = renderer(template)
    switch = find_switch(render)
    recipe = switch.think if mode == "think" else switch.no_think
    assert has_inline_switch(render, recipe, text) is flips


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", ["{% if %}", "{{ raise_exception('never') }}", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"]
)  # fmt: skip
def test_a_template_that_cannot_render_is_refused(source: str) -> None:
    with pytest.raises(RimError, match="chat template"):
        find_switch(
            template_renderer("hello"), source=source
        ) if "if %}" in source else find_switch(template_renderer(source))


def test_a_search_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rim_eval.thinking.switch_detection.MAX_DETECTION_SECONDS", 0.05)
    slow = "{% for i in range(90000) %}{% endfor %}" + (TEMPLATES / "qwen3.jinja").read_text()
    with pytest.raises(
        RimError, match=r"not found within 0\.05 s\. Name it .*`switch=enable_thinking`"
    ):
        find_switch(template_renderer(slow))


OPEN_TRACE, EMPTY_TRACE = "\n</think>\n\n", "<think>\n\n</think>\n\n"
REAL: dict[str, tuple[str, str, Any, Any]] = {
    "ByteDance-Seed-OSS": ("switch", "thinking_budget", -1, 0),
    "CohereLabs-c4ai-command-r7b-12-2024": ("prompted", "prompted", None, None),
    "GLM-4.6": ("switch", "enable_thinking", True, False),
    "HuggingFaceTB-SmolLM3-3B": ("switch", "enable_thinking", True, False),
    "Kimi-K2-Thinking": ("forced_empty", "forced_empty", None, "<think></think>"),
    "Mistral-Small-3.2-24B-Instruct-2506": ("prompted", "prompted", None, None),
    "NVIDIA-Nemotron-Nano-v2": ("switch", "system:/no_think", "/think", "/no_think"),
    "Qwen-QwQ-32B": ("forced_empty", "forced_empty", None, OPEN_TRACE),
    "Qwen-Qwen3-0.6B": ("switch", "enable_thinking", True, False),
    "deepcogito-cogito-v1-preview-3B": ("switch", "enable_thinking", True, False),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": ("forced_empty", "forced_empty", None, OPEN_TRACE),
    "deepseek-ai-DeepSeek-V3.1": ("switch", "thinking", True, False),
    "google-gemma-4-31B-it": ("switch", "enable_thinking", True, False),
    "ibm-granite-granite-3.3-2B-Instruct": ("switch", "thinking", True, False),
    "meta-llama-Llama-3.1-8B-Instruct": ("prompted", "prompted", None, None),
    "microsoft-Phi-3.5-mini-instruct": ("prompted", "prompted", None, None),
    "openai-gpt-oss-120b": ("effort", "reasoning_effort", "high", "low"),
    "upstage-Solar-Open-100B": ("switch", "reasoning_effort", "high", "low"),
    "always": ("forced_empty", "forced_empty", None, OPEN_TRACE),
    "budget": ("switch", "thinking_budget", -1, 0),
    "deep_subroutine": ("switch", "enable_thinking", True, False),
    "history_only": ("forced_empty", "forced_empty", None, EMPTY_TRACE),
    "inverted": ("switch", "disable_reasoning", False, True),
    "judge_tag": ("switch", "enable_thinking", True, False),
    "mode_word": ("switch", "thinking_mode", "enabled", "disabled"),
    "nested": ("switch", "chat_options", {"enable_thinking": True}, {"enable_thinking": False}),
    "off_unless_on": ("switch", "enable_thinking", True, False),
    "opens_unless_off": ("switch", "enable_thinking", True, False),
    "plain_chatml": ("prompted", "prompted", None, None),
    "prefix_no_think": ("switch", "enable_thinking", True, False),
    "reasoning_flag_str": ("switch", "reasoning", "high", "off"),
    "strftime": ("switch", "enable_thinking", True, False),
    "suffix_nothink": ("switch", "enable_thinking", True, False),
}


@pytest.mark.skipif(not os.environ.get("RIM_EVAL_SHARED"), reason="RIM_EVAL_SHARED is not set")
@pytest.mark.parametrize(("model", "expected"), REAL.items(), ids=REAL)
def test_real_templates(model: str, expected: tuple[str, str, Any, Any]) -> None:
    shared = Path(os.environ["RIM_EVAL_SHARED"])
    folders = (shared / "chat_templates", shared.parent / "cases" / "templates")
    files = (folder / f"{model}.jinja" for folder in folders)
    switch = find_switch(template_renderer(next(f for f in files if f.is_file()).read_text()))
    kind, name, think, no_think = expected
    assert (switch.kind, switch.name) == (kind, name)
    if kind == "forced_empty":
        assert switch.no_think.prefill == no_think
    elif name.startswith("system:"):
        assert (switch.think.system, switch.no_think.system) == (think, no_think)
    elif kind != "prompted":
        assert (switch.think.template_kwargs, switch.no_think.template_kwargs) == (
            {name: think},
            {name: no_think},
        )
