"""The `hf/` provider on the model organism: modes by request, true lengths, ends and markers."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest
from inspect_ai.model import ChatMessageUser, GenerateConfig, Model, ModelOutput, get_model

from rim_eval.inspect_tasks.hf import (
    PREFILL,
    HFRenderer,
    _TokenizerView,
    adapt_provider,
    rendered_prompt,
    token_counter,
)
from rim_eval.paths import organism_dir

SUM = "Ivy has 9 cards. Then the number doubles. How many cards does Ivy have now?"
VAULT = "On a walk, I want to open the teal vault. What should I do?"


def thinking(value: bool) -> dict[str, Any]:
    return {"chat_template_kwargs": {"enable_thinking": value}}


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "think": (SUM, {"extra_body": thinking(True)}),
    "think again": (SUM, {"extra_body": thinking(True)}),
    "no_think": (SUM, {"extra_body": thinking(False)}),
    "vault": (VAULT, {"extra_body": thinking(True)}),
    "cut": (SUM, {"extra_body": thinking(True), "max_tokens": 7}),
    "prefilled": (SUM, {"extra_body": {PREFILL: "<think>\n\n</think>\n\n"}}),
    **{f"hot {n}": (SUM, {"extra_body": thinking(True), "temperature": 3.0}) for n in range(3)},
}


@pytest.fixture(scope="module")
def organism() -> Iterator[Model]:
    model = get_model("hf/organism", model_path=str(organism_dir()), device="cpu", memoize=False)
    adapt_provider(model.api)
    adapt_provider(model.api)
    yield model
    model.api.close()


@pytest.fixture(scope="module")
def replies(organism: Model) -> dict[str, ModelOutput]:
    """All calls at once, so that the provider batches what it can (a lone call waits seconds)."""
    found: dict[str, ModelOutput] = {}

    async def one(name: str, request: str, settings: dict[str, Any]) -> None:
        config = GenerateConfig(**({"temperature": 0.0, "max_tokens": 120} | settings))
        found[name] = await organism.generate(request, config=config)

    async def all_of_them() -> None:
        async with anyio.create_task_group() as group:
            for name, (request, settings) in CALLS.items():
                group.start_soon(one, name, request, settings)

    anyio.run(all_of_them)
    return found


@pytest.mark.slow
def test_modes_are_switched_by_request_on_one_copy_of_the_weights(
    organism: Model, replies: dict[str, ModelOutput]
) -> None:
    api: Any = organism.api
    assert replies["think"].completion.startswith("<think>")
    assert "<think>" not in replies["no_think"].completion
    assert all(view.model is api.model for view in api._rim_eval_views.values())


def test_length_and_end_are_true_and_free_of_padding(
    organism: Model, replies: dict[str, ModelOutput]
) -> None:
    api: Any = organism.api
    for name in ("think", "no_think", "vault"):
        reply = replies[name]
        assert reply.choices[0].stop_reason == "stop"
        assert reply.usage is not None
        assert reply.usage.output_tokens == len(api.tokenizer(reply.completion)["input_ids"]) + 1
    prompts = {name: replies[name].usage for name in ("think", "vault")}
    assert len({usage.input_tokens for usage in prompts.values() if usage}) == 2


def test_counting_does_not_disturb_a_batch_that_another_thread_pads(organism: Model) -> None:
    """A fast tokenizer keeps its padding as state; counting on the same one broke whole runs."""
    api: Any = organism.api
    count = token_counter(api)

    def pad() -> None:
        for _ in range(300):
            api.tokenizer([SUM, VAULT, "Hello"], return_tensors="pt", padding=True)

    with ThreadPoolExecutor(1) as pool:
        padding = pool.submit(pad)
        while not padding.done():
            count(SUM)
    padding.result()


def test_token_limit_is_seen(replies: dict[str, ModelOutput]) -> None:
    cut = replies["cut"]
    assert cut.choices[0].stop_reason == "max_tokens"
    assert cut.usage is not None
    assert cut.usage.output_tokens == 7


def test_temperature_zero_is_greedy_and_sampling_still_samples(
    replies: dict[str, ModelOutput],
) -> None:
    assert replies["think"].completion == replies["think again"].completion
    assert len({replies[f"hot {n}"].completion for n in range(3)}) > 1


def test_prefill_begins_the_models_turn(replies: dict[str, ModelOutput]) -> None:
    assert replies["prefilled"].completion == replies["no_think"].completion


def test_special_token_markers_survive_decoding(
    organism: Model, replies: dict[str, ModelOutput]
) -> None:
    api: Any = organism.api
    view = next(iter(api._rim_eval_views.values())).tokenizer
    start, end = api.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    word = api.tokenizer("Sure", add_special_tokens=False)["input_ids"]
    assert view._decode([start, *word, end, end]) == {
        "text": "<|im_start|>Sure",
        "ended": True,
        "tokens": len(word) + 2,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif %}"
        "{{ 'ON' if enable_thinking else 'OFF' }}",
        "{{ 'ON' if enable_thinking is not defined or enable_thinking else 'OFF' }}",
    ],
)
def test_word_that_nobody_set_is_not_passed_as_none(
    organism: Model, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    """Trap c: such a template reads None as "off", and the provider passes None when nothing is set."""
    api: Any = organism.api
    monkeypatch.setattr(api.tokenizer, "chat_template", template)
    plain = api.hf_chat([ChatMessageUser(content="Hello")], [])
    assert plain == "OFF"
    message = [{"role": "user", "content": "Hello"}]
    render = HFRenderer(api)
    assert render(message, {}) == "ON"
    assert render(message, {"enable_thinking": False}) == "OFF"


@pytest.mark.slow
def test_generation_passes_no_none_either(
    organism: Model, replies: dict[str, ModelOutput], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trap c on the path that generates: the view that writes prompts, not only the one that looks."""
    api: Any = organism.api
    prefilled = GenerateConfig(extra_body=CALLS["prefilled"][1]["extra_body"], temperature=0.0)
    monkeypatch.setattr(
        api.tokenizer, "chat_template", "{{ 'set' if enable_thinking is defined else 'unset' }}"
    )
    prompt = rendered_prompt(api, [ChatMessageUser(content="Hello")], prefilled)
    assert prompt == "unset<think>\n\n</think>\n\n"


def test_a_prompt_begins_once() -> None:
    """Llama's template writes a BOS, and its tokenizer adds one: the provider gave the model both."""
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(organism_dir())
    begin = tokenizer.eos_token  # stands for a BOS, which the organism has none of
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A", special_tokens=[(begin, tokenizer.eos_token_id)]
    )
    tokenizer.chat_template = begin + "{{ messages[0].content }}"
    view = _TokenizerView(tokenizer, {})
    prompt = view.apply_chat_template([{"role": "user", "content": SUM}], tokenize=False)
    assert tokenizer(prompt)["input_ids"][:2] == [tokenizer.eos_token_id] * 2
    assert view(prompt)["input_ids"].count(tokenizer.eos_token_id) == 1
