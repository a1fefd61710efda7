"""Named positions of real and small templates, in prompts and in replies."""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.mechanisms import ModelHandle, Passage, Request, wrap_model
from rim_eval.mechanisms.spans import decoded_pieces, locate_spans
from rim_eval.mechanisms.turns import read_turn
from rim_eval.thinking import Recipe
from rim_eval.types import Mode

TEMPLATES = Path(__file__).parents[1] / "thinking" / "templates"
QUESTION = Request("q", "By the way, how do I open the grey vault?")


def told(handle: ModelHandle, passage: Passage) -> dict[str, str]:
    return {
        name: handle.tokenizer.decode(passage.ids[start:stop])
        for name, (start, stop) in passage.spans.items()
    }


def with_template(
    handle: ModelHandle, template: str, special: Sequence[str] = (), *, switch: str = "auto"
) -> ModelHandle:
    """The organism behind another template, with the special tokens of that family."""
    tokenizer = copy.deepcopy(handle.tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": [*special]})
    tokenizer.chat_template = template
    return wrap_model(handle.model, tokenizer, "model", switch=switch)


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


@pytest.mark.parametrize("text", ["assistant", "<|im_start|>assistant", "</think>", "system"])
def test_a_request_that_the_template_writes_too_is_found_where_it_stands(
    handle: ModelHandle, text: str
) -> None:
    passage = handle.passage(Request("q", text), "no_think")
    words = told(handle, passage)
    assert (words["user"], words["turn_end"]) == (text, "<|im_end|>")
    assert passage.span("turn_end")[0] == passage.span("user")[1]
    assert words["assistant"] == "assistant"
    assert words["trace"] == "<think>\n\n</think>"


# ---- other families: prompts of the templates that the switch detection is tested with ----

PROMPTS: dict[str, tuple[Mode, str, tuple[str | None, ...]]] = {
    # template: mode, special tokens; turn_end, turn_start, assistant, think, inside, think_end
    "qwen3": (
        "no_think",
        "<|end|> <|assistant|> <think> </think>",
        ("<|end|>", None, "<|assistant|>", "<think>", "\n\n", "</think>"),
    ),
    "gemma4": (
        "no_think",
        "<|turn> <turn|> <|channel> <channel|>",
        ("<turn|>", "<|turn>", "model", "<|channel>thought", "\n", "<channel|>"),
    ),
    "seed_oss": (
        "no_think",
        "<bos> <eos> <seed:think> </seed:think>",
        (
            "<eos>",
            "<bos>",
            "assistant",
            "<seed:think>",
            "\n<seed:cot_budget_reflect>Nothing is left, I answer.</seed:cot_budget_reflect>\n",
            "</seed:think>",
        ),
    ),
    "r1_opens": (
        "think",
        "<|end|> <|assistant|> <think>",
        ("<|end|>", None, "<|assistant|>", "<think>", "\n", None),
    ),
    "deepseek_v31": (
        "no_think",
        "<|end|> <|assistant|> </think>",
        ("<|end|>", None, "<|assistant|>", None, None, "</think>"),
    ),
    "minimax_m3": (
        "no_think",
        "]~b] [e~[ <mm:think> </mm:think>",
        ("[e~[", "]~b]", "ai", "<mm:think>", "\n\n", "</mm:think>"),
    ),
    "kimi_hybrid": (
        "no_think",
        "<|im_end|> <|im_assistant|> ◁think▷ ◁/think▷",
        ("<|im_end|>", None, "<|im_assistant|>", "◁think▷", None, "◁/think▷"),
    ),
    "date_and_switch": (
        "no_think",
        "<|assistant|> [THINK] [/THINK]",
        (None, None, "<|assistant|>", "[THINK]", None, "[/THINK]"),
    ),
    "magistral_default": ("think", "[/INST]", (None, None, "[/INST]", None, None, None)),
    "gpt_oss": (
        "no_think",
        "<|start|> <|message|> <|end|>",
        ("<|end|>", "<|start|>", "assistant", None, None, None),
    ),
    "force_or_skip": (
        "think",
        "<|im_start|> <|im_end|>",
        ("<|im_end|>", "<|im_start|>", "assistant", "/think\n", None, None),
    ),
    "apriel": (
        "think",
        "<|end|> <|assistant|>",
        ("<|end|>", None, "<|assistant|>", "Here are my reasoning steps:", "\n", None),
    ),
    "glm": (
        "no_think",
        "<|user|> <|assistant|> <think> </think>",
        (None, None, "<|assistant|>", "<think>", None, "</think>"),
    ),
    "answer_opened": ("think", "<|end|> <|bot|>", ("<|end|>", None, "<|bot|>", None, None, None)),
}
NAMES = ("turn_end", "turn_start", "assistant", "think", "inside", "think_end")


@pytest.mark.parametrize("template", PROMPTS)
def test_positions_of_other_families(handle: ModelHandle, template: str) -> None:
    mode, special, expected = PROMPTS[template]
    source = (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
    other = with_template(handle, source, special.split())
    words = told(other, other.passage(QUESTION, mode))
    assert tuple(words.get(name) for name in NAMES) == expected
    assert words["user"] == QUESTION.text


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>HEADER{% endif %}"
)


@pytest.mark.parametrize(
    ("header", "special", "start", "role"),
    [
        ("assistant\n", [], "<|im_start|>", "assistant"),
        ("the AI model\n", [], "<|im_start|>", "the AI model"),
        ("assistant<|im_sep|>", ["<|im_sep|>"], "<|im_start|>", "assistant"),
        ("<|CHATBOT|>", ["<|CHATBOT|>"], "<|im_start|>", "<|CHATBOT|>"),
        ("\n", [], None, "<|im_start|>"),
    ],
)
def test_a_role_is_what_the_template_adds(
    handle: ModelHandle, header: str, special: list[str], start: str | None, role: str
) -> None:
    other = with_template(handle, CHATML.replace("HEADER", header), special, switch="prompted")
    words = told(other, other.passage(QUESTION, "think"))
    assert (words.get("turn_start"), words["assistant"]) == (start, role)
    assert words["turn_end"] == "<|im_end|>"


@pytest.mark.parametrize(
    ("template", "role"),
    [
        ("{% for m in messages %}User: {{ m.content }}\nAssistant:{% endfor %}", "Assistant"),
        ("{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}", "[/INST]"),
        # It writes the generation prompt whether it is asked for it or not.
        (CHATML.replace("{% if add_generation_prompt %}", "").replace("HEADER{% endif %}", "bot\n"), "bot"),
    ],
)  # fmt: skip
def test_a_template_may_know_no_generation_prompt(
    handle: ModelHandle, template: str, role: str
) -> None:
    other = with_template(handle, template, switch="prompted")
    assert told(other, other.passage(QUESTION, "think"))["assistant"].strip() == role


def test_a_request_that_the_template_trims_or_repeats_is_found(handle: ModelHandle) -> None:
    template = (
        "{{ 'The user asks: ' + messages[-1].content.strip() + '\n' }}" + CHATML.replace("m.content", "m.content.strip()")
    ).replace("HEADER", "assistant\n")  # fmt: skip
    other = with_template(handle, template, switch="user:Be quick.")
    passage = other.passage(Request("q", "  Hi there. \n"), "no_think")
    words = told(other, passage)
    assert words["user"] == "Hi there."
    assert passage.span("user")[0] > passage.ids.index(other.tokenizer.encode("<|im_start|>")[0])
    assert words["turn_end"] == "<|im_end|>"  # and not the words that the recipe writes


def test_marks_in_what_the_recipe_writes_do_not_end_the_turn(handle: ModelHandle) -> None:
    template = CHATML.replace("in messages", "in messages if m.role == 'user'")
    other = with_template(handle, template.replace("HEADER", "assistant\n"), switch="prompted")
    assert "<think>" in str(other.switch.think.user_suffix)
    assert told(other, other.passage(QUESTION, "think"))["turn_end"] == "<|im_end|>"


def test_a_request_that_the_template_leaves_out_is_refused(handle: ModelHandle) -> None:
    tokenizer = copy.deepcopy(handle.tokenizer)
    text = "messages[-1].content"
    tokenizer.chat_template = f"{{{{ 'No.' if 'Hi' in {text} else '<u>' + {text} + '</u>' }}}}"
    with pytest.raises(RimError, match=r"'q'.*does not stand"):
        read_turn(tokenizer, Recipe(), "Hi.", id="q")


# ---- replies ----

HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}"
    "{{ '<|channel|>' if false }}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
HARMONY_TOKENS = ("<|start|>", "<|message|>", "<|end|>", "<|channel|>")


@pytest.mark.parametrize("special", [HARMONY_TOKENS, ()], ids=["one token", "several tokens"])
def test_channels_of_a_reply(handle: ModelHandle, special: Sequence[str]) -> None:
    other = with_template(handle, HARMONY, special, switch="prompted")
    text = (
        "<|channel|>analysis<|message|>A sum.<|end|><|start|>assistant<|channel|>final<|message|>9"
    )
    for cut, closing in ((text, "<|end|>"), (text[: text.index("<|end|>")], None)):
        reply = other.tokenizer(cut, add_special_tokens=False)["input_ids"]
        passage = other.passage(QUESTION, "think", reply)
        words = told(other, passage)
        if special:
            assert words["think"] == "<|channel|>analysis<|message|>"
            assert words["inside"] == "A sum."
            assert words.get("think_end") == closing
        else:  # a token of the text may hold a part of the mark
            assert words["think"].startswith("<|channel|>analysis<|message|>"[:-1])
            assert "A sum." in words["inside"]
            assert ("think_end" in words) is bool(closing)
        assert words["assistant"].strip("<>|") == "assistant"
        assert ("9" in words["reply"]) is bool(closing)


def test_an_empty_trace_is_forced_in_the_marks_of_the_family(handle: ModelHandle) -> None:
    other = with_template(handle, HARMONY, HARMONY_TOKENS, switch="forced_empty")
    words = told(other, other.passage(QUESTION, "no_think"))
    assert words["trace"] == "<|channel|>analysis<|message|><|end|>"
    assert words["assistant"] == "assistant"
    assert words["last"] == "<|message|>"


def test_a_trace_that_the_prompt_opens_goes_on_in_the_reply(handle: ModelHandle) -> None:
    source = (TEMPLATES / "r1_opens.jinja").read_text(encoding="utf-8")
    other = with_template(handle, source, ["<|end|>", "<|assistant|>"])
    for text, closing in (("I must refuse.</think>No.", "</think>"), ("I must", None)):
        reply = other.tokenizer(text, add_special_tokens=False)["input_ids"]
        passage = other.passage(QUESTION, "think", reply)
        words = told(other, passage)
        assert words["inside"] == "\n" + text.partition("</think>")[0]
        assert words.get("think_end") == closing
        assert passage.span("think")[1] <= passage.span("last")[0]


def test_a_trace_whose_beginning_is_not_shown_begins_with_the_reply(handle: ModelHandle) -> None:
    reply = handle.tokenizer("I must refuse.</think>No.")["input_ids"]
    passage = handle.passage(QUESTION, "think", reply)
    assert "think" not in passage.spans
    assert passage.span("trace")[0] == passage.span("reply")[0]
    assert told(handle, passage)["inside"] == "I must refuse."


def bytes_only() -> Any:
    """A byte-level tokenizer without merges: every character of two bytes and more is split."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def metaspace() -> Any:
    """A tokenizer in SentencePiece's manner: spaces are `▁`, unknown characters fall back to bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    words = ["▁", *"abcdefghijklmnopqrstuvwxyz<>/.", "<unk>", *(f"<0x{i:02X}>" for i in range(256))]
    vocab = {word: i for i, word in enumerate(words)}
    backend = Tokenizer(models.BPE(vocab, [], byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return PreTrainedTokenizerFast(tokenizer_object=backend)


@pytest.mark.parametrize("tokenizer", [bytes_only(), metaspace()], ids=["bytes", "metaspace"])
@given(text=st.text("ab é◁語🙂", min_size=1))
def test_pieces_of_a_reply_are_its_text(tokenizer: Any, text: str) -> None:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = decoded_pieces(tokenizer, ids)
    assert "".join(piece for piece, _ in pieces) == tokenizer.decode(ids)
    assert sum(tokens for _, tokens in pieces) == len(ids)
    for end in range(1, len(ids)):  # cut anywhere, within a character, too
        assert sum(tokens for _, tokens in decoded_pieces(tokenizer, ids[:end])) == end


@pytest.mark.parametrize("tokenizer", [bytes_only(), metaspace()], ids=["bytes", "metaspace"])
@given(ids=st.lists(st.integers(0, 255), min_size=1))
def test_bytes_that_are_no_characters_are_pieces_too(tokenizer: Any, ids: list[int]) -> None:
    assert sum(tokens for _, tokens in decoded_pieces(tokenizer, ids)) == len(ids)


@pytest.mark.parametrize("tokenizer", [bytes_only(), metaspace()], ids=["bytes", "metaspace"])
def test_a_trace_of_characters_that_are_split_over_tokens(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}<bot>"
    turn = read_turn(tokenizer, Recipe(), "hi")
    reply = tokenizer("◁think▷◁語 语 é🙂◁/think▷🙂 ok", add_special_tokens=False)["input_ids"]
    passage = locate_spans(tokenizer, turn, reply)
    start, stop = passage.span("inside")
    assert tokenizer.decode(passage.ids[start:stop]) == "◁語 语 é🙂"
    assert stop - start > len("◁語 语 é🙂")
    cut = reply[: stop - 1 - passage.span("reply")[0]]  # within the last character
    cut_passage = locate_spans(tokenizer, turn, cut)
    assert cut_passage.span("inside")[1] == len(cut_passage.ids)


# ---- refusals ----


def test_a_missing_position_names_those_that_there_are(handle: ModelHandle) -> None:
    passage = handle.passage(QUESTION, "think")
    with pytest.raises(RimError, match=r"'think_end'.*it has: user"):
        passage.span("think_end")
    with pytest.raises(RimError, match="known names"):
        passage.span("thinking")


def test_a_tokenizer_without_offsets_is_refused(handle: ModelHandle) -> None:
    class Slow:
        is_fast = False

    with pytest.raises(RimError, match="fast tokenizer"):
        locate_spans(Slow(), read_turn(handle.tokenizer, Recipe(), "Hi."))


# ---- all real templates, where they lie on this machine ----


@pytest.mark.skipif(not os.environ.get("RIM_EVAL_SHARED"), reason="RIM_EVAL_SHARED is not set")
def test_every_real_template_shows_the_request_and_a_role(handle: ModelHandle) -> None:
    for path in sorted((Path(os.environ["RIM_EVAL_SHARED"]) / "chat_templates").glob("*.jinja")):
        other = with_template(handle, path.read_text(encoding="utf-8"))
        for mode in ("think", "no_think"):
            words = told(other, other.passage(QUESTION, mode))
            assert QUESTION.text in words["user"], path.stem
            assert words["assistant"].strip(" <>|｜\n"), path.stem
