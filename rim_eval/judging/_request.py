"""What leaves for a grader: the prompt that the judge's publisher rendered, by every kind of provider.

Inspect is made for general models. Three things that it does are wrong for a judge, and mended here on a view of the
grader, so that other users of the same model or server see none of it:

    vllm/, sglang/   continue a last assistant message; a guard model is to judge it, and its instruction, which
                     stands after that message, would be cut off
    all servers      put messages into a chat template; the prompt of a `raw` judge holds its template already
    hf/              adds a BOS token to the template's own, samples, and has templates that read messages as
                     lists of parts (Llama Guard 3 1B and 4) render none of their text
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Literal

from rim_eval.errors import RimError

Frame = Literal["chat", "raw"]

_CONTINUING: Final = ("vllm", "sglang")
"""Providers that would continue a last assistant message."""
_COMPLETING: Final = ("vllm", "sglang", "openai-api")
"""Providers whose servers take a whole prompt at `/v1/completions`, and add the BOS token."""
_AS_THEY_ARE: Final = ("vllm-completions", "openai-api-completions", "mockllm")
"""Providers that add nothing to one user message."""


def check_frame(frame: Frame, graders: Sequence[Any], title: str = "The judge") -> None:
    """Refuse graders that cannot be sent a judge's prompt, before anything is asked.

    Args:
        frame: How the prompt is sent.
        graders: The models to ask; an object of your own without a provider is sent the messages.
        title: What the message calls the judge.

    Raises:
        RimError: The prompt is raw, and a grader's provider takes chat messages only.
    """
    for grader in graders if frame == "raw" else ():
        api, known = getattr(grader, "api", None), (*_COMPLETING, *_AS_THEY_ARE)
        if api is not None and _provider(grader) not in known and not _is_hf(api):
            raise RimError(
                f"{title} sends its publisher's whole prompt, chat template included, and {grader} takes chat messages "
                "only. Name the classifier that the judge is made for, as hf/MODEL, vllm/MODEL, sglang/MODEL or, on "
                "another server with /v1/completions, openai-api/SERVICE/MODEL. `rim-eval judge list` shows judges "
                "for chat models."
            )


def request_fields(grader: Any, messages: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Fields of a request's body that let a server judge a last assistant message, not continue it.

    Only servers that know them get them: OpenAI's API rejects unknown fields, and continues nothing.

    Args:
        grader: The model to ask.
        messages: (role, text) of each message.
    """
    if messages[-1][0] != "assistant" or _provider(grader) not in _CONTINUING:
        return {}
    return {"add_generation_prompt": True, "continue_final_message": False}


def framed(grader: Any, frame: Frame) -> Any:
    """The grader, or a view of it, on the same weights or server, that sends a judge's messages as they are meant.

    Args:
        grader: The model to ask.
        frame: Whether the messages go into the model's chat template, or are the whole prompt.

    Raises:
        RimError: Its provider cannot send them so.
    """
    check_frame(frame, [grader])
    api = getattr(grader, "api", None)
    is_hf, completes = _is_hf(api), frame == "raw" and _provider(grader) in _COMPLETING
    if not is_hf and not completes:
        return grader
    view: Any = copy.copy(grader)
    view.api = _hf_view(api, frame, grader.config.temperature) if is_hf else _RawPrompts(api)
    return view


def _provider(grader: Any) -> str:
    return str(grader).partition("/")[0]


def _is_hf(api: Any) -> bool:
    return hasattr(api, "hf_chat")


def _hf_view(api: Any, frame: Frame, temperature: float | None) -> Any:
    """Greedy unless the user set a temperature, and with one BOS token: the template's, or the tokenizer's."""
    view: Any = copy.copy(api)
    vars(view).pop("generate", None)  # that of a model which is evaluated too
    view.do_sample = api.do_sample and bool(temperature)
    if frame == "raw":
        view.hf_chat = lambda messages, _: messages[0].text
    else:
        view.hf_chat = partial(_render_chat, api)
        if (
            api.chat_template or api.tokenizer.chat_template
        ) and api.use_chat_template is not False:
            view.tokenizer_call_args = {"add_special_tokens": False} | api.tokenizer_call_args
    return view


def _render_chat(api: Any, messages: list[Any], tools: list[Any]) -> str:
    """The prompt text, with all that is to be read in it."""
    rendered = str(api.hf_chat(messages, tools))
    if _shows(rendered, messages):
        return rendered
    parts = [
        {"role": message.role, "content": [{"type": "text", "text": message.text}]}
        for message in messages
    ]
    rendered = api.tokenizer.apply_chat_template(
        parts, chat_template=api.chat_template, tokenize=False, add_generation_prompt=True
    )
    if not _shows(rendered, messages):
        raise RimError(f"The chat template of {api.model_name} leaves out what is to be judged.")
    return str(rendered)


def _shows(rendered: str, messages: list[Any]) -> bool:
    """Whether all messages are there; of earlier replies, a template may leave out the thinking."""
    read = [one for one in messages if one.role != "assistant" or one is messages[-1]]
    return all(message.text.strip() in rendered for message in read)


class _RawPrompts:
    """A provider of an OpenAI-compatible server that asks `/v1/completions`, and else is the given one."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def generate(self, *args: Any, **kwargs: Any) -> Any:
        from inspect_ai.model._providers.openai_compatible_completions import (
            OpenAICompatibleCompletionsAPI,
        )
        from inspect_ai.model._providers.vllm import VLLMAPI
        from inspect_ai.model._providers.vllm_completions import VLLMCompletionsAPI

        is_vllm = isinstance(self._api, VLLMAPI)
        complete: Any = (VLLMCompletionsAPI if is_vllm else OpenAICompatibleCompletionsAPI).generate
        return await complete(self._api, *args, **kwargs)
