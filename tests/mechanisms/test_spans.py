from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import ModelHandle, Passage, Request
from rim_eval.mechanisms.spans import locate_spans


def told(handle: ModelHandle, passage: Passage) -> dict[str, str]:
    return {
        name: handle.tokenizer.decode(passage.ids[start:stop])
        for name, (start, stop) in passage.spans.items()
    }


QUESTION = Request("q", "By the way, how do I open the grey vault?")


def test_a_no_think_prompt_holds_every_position_but_a_reply(handle: ModelHandle) -> None:
    words = told(handle, handle.passage(QUESTION, "no_think"))
    assert words["user"] == QUESTION.text
    assert words["turn_end"] == "<|im_end|>"
    assert words["turn_start"] == "<|im_start|>"
    assert words["assistant"] == "assistant"
    assert words["trace"] == "<think>\n\n</think>"
    assert words["think"] == "<think>"
    assert words["inside"] == "\n\n"
    assert words["think_end"] == "</think>"
    assert words["last"] == "\n\n"
    assert not words.keys() & {"first", "reply"}


def test_a_think_prompt_has_its_trace_only_with_a_reply(handle: ModelHandle) -> None:
    assert "trace" not in handle.passage(QUESTION, "think").spans
    reply = handle.tokenizer("<think>\nI must refuse.\n</think>\n\nI cannot.")["input_ids"]
    words = told(handle, handle.passage(QUESTION, "think", reply))
    assert words["inside"] == "\nI must refuse.\n"
    assert words["first"] == "<think>"
    assert words["reply"] == "<think>\nI must refuse.\n</think>\n\nI cannot."
    assert words["last"] == "\n"
    assert words["text"].startswith("By the way")


def test_a_trace_that_never_closes_runs_to_the_end(handle: ModelHandle) -> None:
    reply = handle.tokenizer("<think>\nand on and on")["input_ids"]
    passage = handle.passage(QUESTION, "think", reply)
    assert "think_end" not in passage.spans
    assert passage.span("inside")[1] == len(passage.ids)


def test_markers_in_the_request_are_not_the_trace(handle: ModelHandle) -> None:
    request = Request("q", "What does <think> mean to the assistant?")
    passage = handle.passage(request, "no_think")
    words = told(handle, passage)
    assert words["trace"] == "<think>\n\n</think>"
    assert passage.span("assistant")[0] > passage.span("user")[1]


@pytest.mark.parametrize(
    ("prompt", "role"),
    [
        ("<start_of_turn>user\nHi.<end_of_turn>\n<start_of_turn>model\n", "model"),
        ("<|user|>\nHi.<|end|>\n<|assistant|>\n", "assistant"),
        ("[INST] Hi. [/INST]", "[/INST]"),
    ],
)
def test_role_names_of_other_templates_are_found(
    handle: ModelHandle, prompt: str, role: str
) -> None:
    passage = locate_spans(handle.tokenizer, prompt, "Hi.")
    assert role in told(handle, passage)["assistant"].replace(" ", "")


def test_a_missing_position_names_those_that_there_are(handle: ModelHandle) -> None:
    passage = handle.passage(QUESTION, "think")
    with pytest.raises(RimError, match=r"'think_end'.*it has: user"):
        passage.span("think_end")
    with pytest.raises(RimError, match="known names"):
        passage.span("thinking")


def test_a_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(RimError, match="fast tokenizer"):
        locate_spans(Slow(), "Hi.", "Hi.")


def test_a_request_that_the_template_changes_is_refused(handle: ModelHandle) -> None:
    tokenizer: Any = handle.tokenizer
    with pytest.raises(RimError, match="does not stand"):
        locate_spans(tokenizer, "HI.", "Hi.")
