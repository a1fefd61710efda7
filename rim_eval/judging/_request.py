"""What leaves for a grader: the prompt that the judge's publisher rendered, by every kind of provider.

Inspect is made for general models. Three things that it does are wrong for a judge, and mended here, on a view of the
grader where its provider must change, so that others who use the same model or server see none of it:

    vllm/, sglang/   continue a last assistant message; a guard is to judge it, and its instruction stands after it
    all servers      put messages into a chat template; the prompt of a `raw` judge holds its template already
    hf/              samples, adds a BOS token to the template's, and gives text to templates that read parts
"""

import copy
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

import anyio

from rim_eval.errors import RimError
from rim_eval.judging._spec import Dialogue, FieldsReader, ReplyField, WordReader
from rim_eval.paths import model_name

if TYPE_CHECKING:
    from inspect_ai.model import ResponseSchema

Frame = Literal["chat", "raw"]

_API_RETRIES: Final = 6
"""How often one call is repeated after rate limits, server errors and timeouts."""
_CONTINUING: Final = ("vllm", "sglang")
_COMPLETING: Final = ("vllm", "sglang", "openai-api")
"""Providers whose servers take a whole prompt at `/v1/completions`, and add the BOS token."""
_SENDING_AS_IT_IS: Final = ("vllm-completions", "openai-api-completions", "mockllm")
_ENFORCING: Final = frozenset({"anthropic", "bedrock", "google", "grok", "mistral", "openai"})
"""Inspect providers that pass a schema on to a service which applies it after the model's own reasoning.

Not here: `vllm`, `sglang` and other servers of open weights, which apply it from the first token unless they
know where the model's reasoning ends; `openai-api`, `openrouter`, `groq` and others, where that depends on the
model behind them; `deepseek`, which sends no schema; and those that send none at all (`hf`, `azureai`).
"""


def check_frame(frame: Frame, graders: Sequence[Any], title: str = "The judge") -> None:
    """Refuse graders that cannot be sent a judge's prompt, before anything is asked.

    Args:
        frame: How the prompt is sent.
        graders: The models to ask; a provider or an object of your own is sent the one message.
        title: What the error calls the judge.

    Raises:
        RimError: The prompt is raw, and a grader's provider takes chat messages only.
    """
    for grader in graders if frame == "raw" else ():
        api, sent = getattr(grader, "api", None), (*_COMPLETING, *_SENDING_AS_IT_IS)
        is_inspects = type(api).__module__.startswith("inspect_ai.")
        if is_inspects and not _is_hf(api) and _provider(grader) not in sent:
            raise RimError(
                f"{title} sends its publisher's whole prompt, chat template included, and {grader} takes chat messages "
                "only. Name the classifier that the judge is made for, as hf/MODEL, vllm/MODEL, sglang/MODEL or, on "
                "another server with /v1/completions, openai-api/SERVICE/MODEL. `rim-eval judge list` shows judges "
                "for chat models."
            )


def framed(grader: Any, frame: Frame) -> Any:
    """The grader, or a view of it on the same weights or server that sends a judge's messages as they are meant.

    Raises:
        RimError: Its provider cannot send them so.
    """
    check_frame(frame, [grader])
    api = getattr(grader, "api", None)
    completes = frame == "raw" and _provider(grader) in _COMPLETING
    if not _is_hf(api) and not completes:
        return grader
    view: Any = copy.copy(grader)
    view.api = _Completions(api) if completes else _hf_view(api, frame, grader.config.temperature)
    return view


def request_config(
    spec: Dialogue,
    grader: Any,
    budget_factor: int,
    dialogue: Sequence[tuple[str, str]],
    schema: "ResponseSchema | None",
) -> Any:
    """Generation settings of one call: the judge file's, where the user's model sets none.

    Args:
        spec: How the grader is asked.
        grader: The model to ask, as `framed` gives it.
        budget_factor: How many times the judge file's tokens the reply may have.
        dialogue: (role, text) of each message.
        schema: The form of the reply, for providers that hold a model to one.
    """
    from inspect_ai.model import GenerateConfig

    own, settings = getattr(grader, "config", None), spec.grader
    # An `hf/` model that decodes greedily says so by `do_sample`, and rejects temperature 0.
    greedy = getattr(getattr(grader, "api", None), "do_sample", None) is False
    wanted: dict[str, Any] = {
        "temperature": None if greedy else settings.temperature,
        "max_tokens": settings.max_tokens * budget_factor,
        "max_retries": _API_RETRIES,
        "attempt_timeout": settings.call_timeout,
        "response_schema": schema,
    }
    chosen = {name: value for name, value in wanted.items() if getattr(own, name, None) is None}
    fields = _fields(grader, dialogue) | (getattr(own, "extra_body", None) or {})
    return GenerateConfig(**chosen, extra_body=fields or None)


def enforces_schema(grader: Any) -> bool:
    """Whether the grader's provider holds a model to a schema, its own reasoning left free."""
    return model_name(str(grader)).partition("/")[0] in _ENFORCING


def response_schema(reader: FieldsReader | WordReader, grader: Any) -> "ResponseSchema | None":
    """The schema to ask for: a reason first, as the prompts ask, then each field within its scale.

    Args:
        reader: How the reply is read.
        grader: The model to ask; its name begins with its provider.

    Returns:
        None where the reply is left to the prompt: `word` and `lines` readers are of classifiers, guard models
        and publishers' prompts, whose own form is part of what they measure.
    """
    from inspect_ai.model import ResponseSchema
    from inspect_ai.util import JSONSchema

    if not isinstance(reader, FieldsReader) or reader.structured is False:
        return None
    if not reader.structured and (reader.kind == "lines" or not enforces_schema(grader)):
        return None
    properties = {"reason": JSONSchema(type="string", description="One or two sentences.")}
    properties |= {spec.key or name: _property(spec) for name, spec in reader.fields.items()}
    schema = JSONSchema(
        type="object", properties=properties, required=[*properties], additionalProperties=False
    )
    return ResponseSchema(name="verdict", json_schema=schema, strict=True)


def _property(spec: ReplyField) -> Any:
    """One field; by its values, since not every provider knows `minimum`."""
    from inspect_ai.util import JSONSchema

    if spec.integers is not None:
        low, high = spec.integers
        return JSONSchema(type="integer", enum=[*range(low, high + 1)])
    label = JSONSchema(type="string", enum=[*(spec.labels or ())])
    return JSONSchema(type="array", items=label) if spec.multiple else label


async def send(grader: Any, dialogue: Sequence[tuple[str, str]], config: Any) -> Any:
    """The grader's reply; asked again while nobody answers at its address, and without a schema that it rejects.

    Inspect repeats rate limits and server errors, but gives up at once when a local vLLM server restarts. So
    this waits 2, 4, 8, ... at most 60 seconds between attempts (six retries: two minutes in all).

    Args:
        grader: The model to ask, as `framed` gives it.
        dialogue: (role, text) of each message.
        config: The settings of the call.
    """
    from inspect_ai.model import ChatMessage
    from pydantic import TypeAdapter

    waits = [min(2**number, 60) for number in range(1, _API_RETRIES + 1)]
    texts = [{"role": role, "content": text} for role, text in dialogue]
    chat = TypeAdapter(list[ChatMessage]).validate_python(texts)
    while True:
        try:
            return await grader.generate(input=chat, config=config)
        except Exception as error:
            if config.response_schema and getattr(error, "status_code", None) == 400:
                config = config.model_copy(update={"response_schema": None})
            elif waits and _unreachable(error):
                await anyio.sleep(waits.pop(0))
            else:
                raise


def _unreachable(error: BaseException) -> bool:
    """A refused or broken connection; a time-out is none, Inspect has repeated that already."""
    import httpx
    from openai import APIConnectionError, APITimeoutError

    broken = isinstance(error, APIConnectionError | httpx.NetworkError | ConnectionError)
    return broken and not isinstance(error, APITimeoutError)


def _fields(grader: Any, dialogue: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """What lets a server judge a last assistant message; OpenAI's API would reject such fields."""
    if dialogue[-1][0] != "assistant" or _provider(grader) not in _CONTINUING:
        return {}
    return {"add_generation_prompt": True, "continue_final_message": False}


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
        return view
    view.hf_chat = partial(_render_chat, api)
    if (api.chat_template or api.tokenizer.chat_template) and api.use_chat_template is not False:
        view.tokenizer_call_args = {"add_special_tokens": False} | api.tokenizer_call_args
    return view


def _render_chat(api: Any, messages: list[Any], tools: list[Any]) -> str:
    """The prompt text; messages as parts where the template leaves out text (Llama Guard 3 1B, Llama Guard 4)."""
    rendered = str(api.hf_chat(messages, tools))
    if not _shows(rendered, messages):
        parts = [{"role": one.role, "content": [{"type": "text", "text": one.text}]} for one in messages]  # fmt: skip
        about = {"chat_template": api.chat_template, "add_generation_prompt": True}
        rendered = str(api.tokenizer.apply_chat_template(parts, tokenize=False, **about))
    if not _shows(rendered, messages):
        raise RimError(f"The chat template of {api.model_name} leaves out what is to be judged.")
    return rendered


def _shows(rendered: str, messages: list[Any]) -> bool:
    """Whether all messages are there; of earlier replies, a template may leave out the thinking."""
    read = [one for one in messages if one.role != "assistant" or one is messages[-1]]
    return all(message.text.strip() in rendered for message in read)


class _Completions:
    """A provider of a server that asks `/v1/completions`, and in all else is the one given."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def generate(self, *args: Any, **kwargs: Any) -> Any:
        from inspect_ai.model._providers import openai_compatible_completions as other
        from inspect_ai.model._providers import vllm_completions as vllm

        is_vllm = hasattr(self._api, "_ensure_server_started")
        way: Any = vllm.VLLMCompletionsAPI if is_vllm else other.OpenAICompatibleCompletionsAPI
        return await way.generate(self._api, *args, **kwargs)
