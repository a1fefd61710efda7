from typing import Any

import pytest

from rim_eval.errors import RimError
from rim_eval.mechanisms import Passage, Request, Subject, locate


def told(subject: Subject, passage: Passage) -> dict[str, str]:
    return {
        name: subject.tokenizer.decode(passage.ids[start:stop])
        for name, (start, stop) in passage.spans.items()
    }


QUESTION = Request("q", "By the way, how do I open the grey vault?")


def test_a_no_think_prompt_holds_every_position_but_a_reply(subject: Subject) -> None:
    words = told(subject, subject.passage(QUESTION, "no_think"))
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


def test_a_think_prompt_has_its_trace_only_with_a_reply(subject: Subject) -> None:
    assert "trace" not in subject.passage(QUESTION, "think").spans
    reply = subject.tokenizer("<think>\nI must refuse.\n</think>\n\nI cannot.")["input_ids"]
    words = told(subject, subject.passage(QUESTION, "think", reply))
    assert words["inside"] == "\nI must refuse.\n"
    assert words["first"] == "<think>"
    assert words["reply"] == "<think>\nI must refuse.\n</think>\n\nI cannot."
    assert words["last"] == "\n"
    assert words["text"].startswith("By the way")


def test_a_trace_that_never_closes_runs_to_the_end(subject: Subject) -> None:
    reply = subject.tokenizer("<think>\nand on and on")["input_ids"]
    passage = subject.passage(QUESTION, "think", reply)
    assert "think_end" not in passage.spans
    assert passage.span("inside")[1] == len(passage.ids)


def test_markers_in_the_request_are_not_the_trace(subject: Subject) -> None:
    request = Request("q", "What does <think> mean to the assistant?")
    passage = subject.passage(request, "no_think")
    words = told(subject, passage)
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
def test_role_names_of_other_templates_are_found(subject: Subject, prompt: str, role: str) -> None:
    passage = locate(subject.tokenizer, prompt, "Hi.")
    assert role in told(subject, passage)["assistant"].replace(" ", "")


def test_a_missing_position_names_those_that_there_are(subject: Subject) -> None:
    passage = subject.passage(QUESTION, "think")
    with pytest.raises(RimError, match=r"'think_end'.*it has: user"):
        passage.span("think_end")
    with pytest.raises(RimError, match="known names"):
        passage.span("thinking")


def test_a_tokenizer_without_offsets_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(RimError, match="fast tokenizer"):
        locate(Slow(), "Hi.", "Hi.")


def test_a_request_that_the_template_changes_is_refused(subject: Subject) -> None:
    tokenizer: Any = subject.tokenizer
    with pytest.raises(RimError, match="does not stand"):
        locate(tokenizer, "HI.", "Hi.")
