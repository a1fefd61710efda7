"""Compatibility of Inspect's `hf/` provider with what rim_eval needs of every provider.

The provider switches thinking per model, not per request, hides where a reply ended, counts padding
as tokens, begins prompts twice (a BOS of the template and one of the tokenizer), drops special-token
markers and rejects temperature 0. `adapt_provider` changes this on one
model instance: requests then carry `extra_body["chat_template_kwargs"]` as they do on a vLLM server,
all arms share the one copy of the weights, and the lengths are true.

Inspect 0.3.285 also lets every request that waits for its batch block the event loop for ten
milliseconds and then sleep for a second, again and again: with 440 requests the loop does little
else. Here a request sleeps until its batch is decoded; Inspect's queue and its batching stay.
"""

import asyncio
import copy
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final

import sniffio
from inspect_ai.model import GenerateConfig, ModelAPI, ModelOutput, ModelUsage

from rim_eval.errors import RimError

PREFILL: Final = "rim_eval_prefill"
"""Key in `extra_body`: text written after the generation prompt, the beginning of the model's turn."""

_VIEWS: Final = "_rim_eval_views"

_QUEUE: Final = ("batch_queue", "batch_thread", "process_batches", "_QueueItem", "_batch_key")
"""Names of the provider's module that waiting without polling needs."""


def is_hf(api: ModelAPI) -> bool:
    """Whether this is Inspect's transformers provider (told by what it holds, to import no torch)."""
    return all(hasattr(api, name) for name in ("tokenizer", "model", "do_sample", "hf_chat"))


class HFRenderer:
    """Renders prompts as the provider does, through the model's own tokenizer.

    Args:
        api: An instance of the provider.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        self._own_template = api.chat_template if isinstance(api.chat_template, str) else None

    def __call__(self, messages: list[dict[str, Any]], template_kwargs: dict[str, Any], /) -> str:
        """The prompt text that this model would get: exactly the words given, none passed as None.

        Raises:
            RimError: The model's chat template refuses the request.
        """
        view = _TokenizerView(self._api.tokenizer, template_kwargs)
        try:
            return view.apply_chat_template(
                messages,
                chat_template=self._own_template,
                add_generation_prompt=True,
                tokenize=False,
            )
        except Exception as error:  # whatever a template raises, it refuses this request
            raise RimError(
                f"The chat template of {self._api.model_name} refuses a request: {error}"
            ) from None


def token_counter(api: Any) -> Callable[[str], int]:
    """Counts the tokens of a text as this model's tokenizer cuts it.

    It counts on a copy: a fast tokenizer holds its padding as state, and another thread is
    padding a batch on the original at the same time.
    """
    if not hasattr(api, "_rim_eval_counting_tokenizer"):
        api._rim_eval_counting_tokenizer = copy.deepcopy(api.tokenizer)
    tokenizer = api._rim_eval_counting_tokenizer
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def adapt_provider(api: Any) -> None:
    """Make one `hf/` model instance honour per-request template words. Doing it twice changes nothing."""
    if hasattr(api, _VIEWS):
        return
    _wait_without_polling(sys.modules[type(api).__module__])
    count = token_counter(api)
    original = copy.copy(api)
    views: dict[str, Any] = {}
    setattr(api, _VIEWS, views)

    async def generate(
        input: Any, tools: Any, tool_choice: Any, config: GenerateConfig
    ) -> ModelOutput:
        view = _view(original, views, config)
        if config.temperature == 0:
            # Transformers wants greedy decoding said by `do_sample`, without sampling settings beside it.
            greedy = {"temperature": None, "top_p": None, "top_k": None}
            config = config.model_copy(update=greedy)
        output = await view.generate(input, tools, tool_choice, config)
        return _unpack(output, count(view.hf_chat(input, tools)), config.max_tokens)

    api.generate = generate


def rendered_prompt(api: Any, messages: list[Any], config: GenerateConfig) -> str:
    """The prompt text that an adapted model gets for a call.

    Args:
        api: An instance of the provider.
        messages: The call's messages.
        config: The call's settings.
    """
    # A view of its own: those that are kept are made of the provider before it was adapted.
    return str(_view(api, {}, config).hf_chat(messages, []))


def _wait_without_polling(module: Any) -> None:
    """Replace the provider's waiting, once for the process; a module of another form is left alone."""
    if hasattr(module, "_rim_eval_polling") or not all(hasattr(module, name) for name in _QUEUE):
        return
    module._rim_eval_polling = module.batched_generate

    async def batched_generate(input: Any) -> Any:
        if sniffio.current_async_library() != "asyncio":
            return await module._rim_eval_polling(input)
        if module.batch_thread is None:
            module.batch_thread = Thread(target=module.process_batches, daemon=True)
            module.batch_thread.start()
        future: Future[Any] = Future()
        key = module._batch_key(input)
        module.batch_queue.put(module._QueueItem(input=input, future=future, key=key))
        return await asyncio.wrap_future(future)

    module.batched_generate = batched_generate


def _view(api: Any, views: dict[str, Any], config: GenerateConfig) -> Any:
    """A shallow copy of the provider for one way of asking; the weights stay shared."""
    body = config.extra_body or {}
    words, prefill = body.get("chat_template_kwargs") or {}, body.get(PREFILL) or ""
    greedy = config.temperature == 0 or not api.do_sample
    key = json.dumps([words, greedy], sort_keys=True)
    if key not in views:
        declared = getattr(api.model.generation_config, "eos_token_id", None)
        ends = [*(declared if isinstance(declared, Sequence) else [declared])]
        ends.append(api.tokenizer.eos_token_id)
        views[key] = view = copy.copy(api)
        view.do_sample = not greedy
        view.tokenizer = _TokenizerView(api.tokenizer, words, frozenset(ends) - {None})
    return _with_prefill(views[key], prefill) if prefill else views[key]


def _with_prefill(view: Any, prefill: str) -> Any:
    """The same provider with a text after each prompt.

    Its tokenizer stays the same one, so that requests with different texts are decoded in one batch. A prompt that the
    provider writes without a chat template is no turn that a text could begin.
    """
    if view.use_chat_template is False:
        return view
    prefilled = copy.copy(view)
    prefilled.hf_chat = lambda *args: str(view.hf_chat(*args)) + prefill
    return prefilled


def _unpack(output: ModelOutput, input_tokens: int, max_tokens: int | None) -> ModelOutput:
    """Turn the decoder's JSON back into a reply with its true text, length and stop reason."""
    choice = output.choices[0]
    reply = json.loads(choice.message.text)
    choice.message.content = reply["text"]
    reached = max_tokens is not None and reply["tokens"] >= max_tokens
    choice.stop_reason = "stop" if reply["ended"] else "max_tokens" if reached else "unknown"
    output.completion = reply["text"]
    output.usage = ModelUsage(
        input_tokens=input_tokens,
        output_tokens=reply["tokens"],
        total_tokens=input_tokens + reply["tokens"],
    )
    return output


class _TokenizerView:
    """A tokenizer that fixes the mode when rendering and reports lengths when decoding."""

    def __init__(
        self,
        tokenizer: Any,
        template_kwargs: dict[str, Any],
        end_tokens: frozenset[int] = frozenset(),
    ) -> None:
        self._tokenizer = tokenizer
        self._template_kwargs = template_kwargs
        self._end_tokens = end_tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # A template writes the special tokens itself; Llama's tokenizer would begin the prompt twice.
        return self._tokenizer(*args, **({"add_special_tokens": False} | kwargs))

    def apply_chat_template(self, messages: Any, **kwargs: Any) -> str:
        # None is not "unset" for a template that asks `is defined`, so a None never gets there.
        words = {name: value for name, value in kwargs.items() if value is not None}
        rendered = self._tokenizer.apply_chat_template(messages, **(words | self._template_kwargs))
        return str(rendered)

    def batch_decode(self, sequences: Any, **_: Any) -> list[str]:
        """Each reply as JSON: its text with special markers, its true length, whether it ended."""
        return [json.dumps(self._decode(ids)) for ids in sequences.tolist()]

    def _decode(self, ids: list[int]) -> dict[str, Any]:
        end = next((i for i, token in enumerate(ids) if token in self._end_tokens), None)
        content = ids[:end]
        text = self._tokenizer.decode(
            content, skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return {"text": text, "ended": end is not None, "tokens": len(content) + (end is not None)}
