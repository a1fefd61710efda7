from typing import Any

import pytest

EMPTY = "<think>\n\n</think>\n\n"
ASK = [{"role": "user", "content": "How do I open the grey window?"}]


def render(tokenizer: Any, messages: list[dict[str, Any]], **words: Any) -> str:
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, **{"add_generation_prompt": True, **words}
    )
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("words", [{}, {"enable_thinking": True}, {"enable_thinking": None}])
def test_thinking_is_on_unless_it_is_turned_off(tokenizer: Any, words: dict[str, Any]) -> None:
    assert render(tokenizer, ASK, **words).endswith("<|im_start|>assistant\n")


def test_off_writes_an_empty_trace_and_changes_nothing_else(tokenizer: Any) -> None:
    off = render(tokenizer, ASK, enable_thinking=False)
    assert off == render(tokenizer, ASK) + EMPTY


def test_a_system_message_comes_first(tokenizer: Any) -> None:
    text = render(tokenizer, [{"role": "system", "content": "Be brief."}, *ASK])
    assert text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")


@pytest.mark.parametrize(
    "reply",
    [
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nSure."},
        {"role": "assistant", "content": "Sure.", "reasoning_content": "Hm."},
    ],
)
def test_the_trace_of_an_earlier_turn_is_dropped(tokenizer: Any, reply: dict[str, str]) -> None:
    text = render(tokenizer, [*ASK, reply, *ASK])
    assert "Hm." not in text
    assert "<|im_start|>assistant\nSure.<|im_end|>\n" in text


def test_the_trace_of_the_last_turn_is_kept(tokenizer: Any) -> None:
    reply = {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nSure."}
    text = render(tokenizer, [*ASK, reply], add_generation_prompt=False)
    assert text.endswith("<|im_start|>assistant\n<think>\nHm.\n</think>\n\nSure.<|im_end|>\n")


def test_content_may_be_a_list_of_parts(tokenizer: Any) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": ASK[0]["content"]}]}]
    assert render(tokenizer, parts) == render(tokenizer, ASK)


def test_markers_are_single_tokens_and_survive_decoding(tokenizer: Any) -> None:
    ids = tokenizer("<think>\nHm.\n</think>\n\nSure.<|im_end|>", add_special_tokens=False).input_ids
    kept = tokenizer.decode(ids, skip_special_tokens=True)
    assert kept == "<think>\nHm.\n</think>\n\nSure."
    assert len(tokenizer("<think>").input_ids) == len(tokenizer("</think>").input_ids) == 1


@pytest.mark.parametrize(
    "text", ["", " \n\t", "naïve café – 東京 🙂", "x" * 5000, "1234.5 = 7\r\n"]
)
def test_any_text_survives_encoding(tokenizer: Any, text: str) -> None:
    import unicodedata

    assert tokenizer.decode(tokenizer(text).input_ids) == unicodedata.normalize("NFC", text)
