"""Modes of a model in this process: a switch that is named reaches its prompt, or is refused."""

import copy
from pathlib import Path
from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import ModelHandle, Request, load_model, wrap_model
from rim_eval.paths import organism_dir

TEMPLATES = Path(__file__).parents[1] / "thinking" / "templates"


def prompts(handle: ModelHandle) -> tuple[str, str]:
    request = Request("q", "What is 2 + 3?")
    think, no_think = (
        handle.tokenizer.decode(handle.passage(request, mode).ids) for mode in ("think", "no_think")
    )  # fmt: skip
    return think, no_think


def behind(handle: ModelHandle, template: str, switch: str) -> ModelHandle:
    tokenizer = copy.deepcopy(handle.tokenizer)
    tokenizer.chat_template = (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
    return wrap_model(handle.model, tokenizer, "model", switch=switch)


@pytest.mark.parametrize(
    ("switch", "think", "no_think"),
    [
        ("enable_thinking", "assistant\n", "<think>\n\n</think>\n\n"),
        ("forced_empty", "assistant\n", "<think>\n\n</think>\n\n"),
        ("prompted", "Reason step by step before you answer.", "Answer at once."),
        ("user:/no_think", "What is 2 + 3?\n\n/think", "What is 2 + 3?\n\n/no_think"),
        ("chain_of_thought", 'after the word "Reasoning:"', "Write your answer at once"),
    ],
)
def test_a_switch_may_be_named(switch: str, think: str, no_think: str) -> None:
    asked = prompts(load_model(organism_dir(), switch=switch))
    assert think in asked[0]
    assert no_think not in asked[0]
    assert no_think in asked[1]


def test_a_request_below_examples_is_the_last_one(handle: ModelHandle) -> None:
    shown = wrap_model(handle.model, handle.tokenizer, "model", switch="chain_of_thought")
    passage = shown.passage(Request("q", "What is 8 times 12?"), "think")  # an example asks it, too
    start, stop = passage.span("user")
    assert shown.tokenizer.decode(passage.ids[start:stop]).rstrip() == "What is 8 times 12?"
    end = passage.ids[passage.span("turn_end")[0]]
    assert shown.tokenizer.decode([end]) == "<|im_end|>"
    assert end not in passage.ids[stop : passage.span("turn_end")[0]]
    assert passage.ids[passage.span("turn_end")[0] :].count(end) == 1


def test_effort_is_a_variable_of_the_template(handle: ModelHandle) -> None:
    asked = prompts(behind(handle, "gpt_oss", "effort:low,high"))
    assert "Reasoning: high" in asked[0]
    assert "Reasoning: low" in asked[1]


def test_a_prompt_that_opens_a_trace_is_known_to_do_so_in_any_arm(handle: ModelHandle) -> None:
    asked = behind(handle, "r1_opens", "prompted").switch
    assert asked.think.opened_by_prompt
    assert asked.no_think.opened_by_prompt
    forced = behind(handle, "r1_opens", "forced_empty").switch
    assert (forced.think.opened_by_prompt, forced.no_think.opened_by_prompt) == (True, False)


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ("body:reasoning.enabled=true/false", "field of a server's request"),
        ("effort:low,high", "changes nothing"),
        ("no_such_variable", "changes nothing"),
        ("two words", "cannot be read"),
    ],
)
def test_a_switch_that_reaches_no_prompt_is_refused(
    handle: ModelHandle, switch: str, message: str
) -> None:
    with pytest.raises(RimError, match=message):
        wrap_model(handle.model, handle.tokenizer, "model", switch=switch)


def test_a_base_model_is_told_what_it_lacks(handle: ModelHandle) -> None:
    tokenizer: Any = copy.deepcopy(handle.tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(RimError, match="give the tokenizer a template"):
        wrap_model(handle.model, tokenizer, "model")
