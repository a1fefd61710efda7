"""The request to the grader: the prompt as the judge's publisher renders it, for every kind of provider.

Inspect is made for general models. Four things that it does are wrong for a judge, and changed here on a view of the
grader, so that others who use the same model or server see none of it:

    vllm/, sglang/   continue a last assistant message; a guard is to judge it, and its instruction stands after it
    vllm/            gives up at once on a local server that restarts
    all servers      put messages into a chat template; the prompt of a `raw` judge holds its template already
    hf/              samples, adds a BOS token to the template's, and gives text to templates that read parts
"""

import copy
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from rim_eval.errors import RimError
from rim_eval.judging._spec import Dialogue, FieldsReader, ReplyField, WordReader

if TYPE_CHECKING:
    from inspect_ai.model import ResponseSchema

_API_RETRIES: Final = 6
"""How often Inspect repeats a call that failed for now, such as at a server that restarts: about three minutes."""
_CONTINUING_PROVIDERS: Final = ("vllm", "sglang")
_COMPLETING_PROVIDERS: Final = ("vllm", "sglang", "openai-api")
"""Providers whose servers take a whole prompt at `/v1/completions`, and add the BOS token."""
_TEXT_PROVIDERS: Final = (
    "hf",
    *_COMPLETING_PROVIDERS,
    "vllm-completions",
    "openai-api-completions",
    "mockllm",
)
_SCHEMA_PROVIDERS: Final = ("anthropic", "bedrock", "google", "grok", "mistral", "openai")
"""Providers whose service applies a schema after the model's own reasoning; docs/judges.md says what others do."""
_SCHEMA_REFUSED: Final[set[str]] = set()
"""Graders of this process that answered as soon as no schema was asked for."""


def check_frame(frame: str, graders: Sequence[Any], title: str = "The judge") -> None:
    """Refuse graders that cannot be sent a judge's prompt, before anything is asked.

    Args:
        frame: How the prompt is sent, `chat` or `raw`.
        graders: The models to ask; a custom provider or object is sent the one message.
        title: What the error calls the judge.

    Raises:
        RimError: The prompt is raw, and a grader's provider takes chat messages only.
    """
    for grader in graders if frame == "raw" else ():
        api = getattr(grader, "api", None)
        is_inspects = type(api).__module__.startswith("inspect_ai.")
        if is_inspects and _provider(grader) not in _TEXT_PROVIDERS:
            raise RimError(
                f"{title} sends its publisher's whole prompt, chat template included, and {grader} takes chat messages "
                "only. Name the classifier that the judge is made for, as hf/MODEL, vllm/MODEL, sglang/MODEL or, on "
                "another server with /v1/completions, openai-api/SERVICE/MODEL. `rim-eval judge list` shows judges "
                "for chat models."
            )


def grader_view(grader: Any, spec: Dialogue) -> Any:
    """The grader, or a view of it on the same weights or server that sends a judge's messages as they are meant.

    Args:
        grader: The model to ask.
        spec: How it is asked.

    Raises:
        RimError: Its provider cannot send them so.
    """
    check_frame(spec.frame, [grader])
    is_hf = _provider(grader) == "hf"
    if not hasattr(grader, "api") or not (is_hf or _provider(grader) in _COMPLETING_PROVIDERS):
        return grader
    view = copy.copy(grader)
    view.api = _hf_view(grader, spec) if is_hf else _server_view(grader.api, spec.frame)
    return view


def enforces_schema(grader: Any) -> bool:
    """Whether the grader's provider holds a model to a schema, its own reasoning left free."""
    return _provider(grader) in _SCHEMA_PROVIDERS


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
    properties |= {field.key or name: _property(field) for name, field in reader.fields.items()}
    schema = JSONSchema(
        type="object", properties=properties, required=[*properties], additionalProperties=False
    )
    return ResponseSchema(name="verdict", json_schema=schema, strict=True)


def _property(field: ReplyField) -> Any:
    """One field; by its values, since not every provider knows `minimum`."""
    from inspect_ai.util import JSONSchema

    low, high = field.integers or (1, 0)
    values = [*(field.labels or range(low, high + 1))]
    value = JSONSchema(type="integer" if field.integers else "string", enum=values)
    return JSONSchema(type="array", items=value) if field.multiple else value


async def send(
    grader: Any,
    spec: Dialogue,
    dialogue: Sequence[tuple[str, str]],
    schema: "ResponseSchema | None" = None,
    budget_factor: int = 1,
) -> Any:
    """The grader's reply.

    A grader that refuses a schema (status 400) and replies without one is offered none for the rest of the process.

    Args:
        grader: The model to ask, as `grader_view` gives it.
        spec: How the grader is asked; its settings hold where the user's model sets none.
        dialogue: (role, text) of each message.
        schema: The form of the reply, for providers that hold a model to one.
        budget_factor: How many times the judge file's tokens the reply may have.
    """
    from inspect_ai.model import ChatMessage, GenerateConfig
    from pydantic import TypeAdapter

    texts = [{"role": role, "content": text} for role, text in dialogue]
    chat = TypeAdapter(list[ChatMessage]).validate_python(texts)
    name, api = str(grader), getattr(grader, "api", None)
    user_config = getattr(grader, "config", None) or GenerateConfig()
    settings = {
        # An `hf/` model that decodes greedily says so by `do_sample`, and rejects temperature 0.
        "temperature": spec.grader.temperature if getattr(api, "do_sample", True) else None,
        "max_tokens": spec.grader.max_tokens * budget_factor,
        "max_retries": _API_RETRIES,
        "attempt_timeout": spec.grader.call_timeout,
        "response_schema": None if name in _SCHEMA_REFUSED else schema,
    }
    unset = {key: value for key, value in settings.items() if getattr(user_config, key) is None}
    config = GenerateConfig.model_validate(unset)
    if dialogue[-1][0] == "assistant" and _provider(grader) in _CONTINUING_PROVIDERS:
        # What lets a server judge a last assistant message; OpenAI's API would reject such fields.
        fields = {"add_generation_prompt": True, "continue_final_message": False}
        config.extra_body = fields | (user_config.extra_body or {})
    try:
        return await grader.generate(input=chat, config=config)
    except Exception as error:
        if config.response_schema is None or getattr(error, "status_code", None) != 400:
            raise
    config = config.model_copy(update={"response_schema": None})
    output = await grader.generate(input=chat, config=config)
    if name not in _SCHEMA_REFUSED:
        _SCHEMA_REFUSED.add(name)
        logging.getLogger(__name__).warning(
            "%s refuses a JSON Schema of its replies: verdicts are read from free text.", name
        )
    return output


def _provider(grader: Any) -> str:
    return str(grader).partition("/")[0]


class _ProviderView:
    """A provider with other methods and settings; its client, server or weights are those of the one given."""

    def __init__(self, api: Any, **changes: Any) -> None:
        vars(self).update(changes, _api=api)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)


def _server_view(api: Any, frame: str) -> Any:
    """A server's provider that waits for a server which restarts, and sends a whole prompt to `/v1/completions`."""
    from inspect_ai.model._providers import openai_compatible_completions as other
    from inspect_ai.model._providers import vllm_completions as vllm
    from openai import APIConnectionError

    # A server that Inspect started does not come back.
    is_started = getattr(getattr(api, "_server", None), "process", None) is not None

    def should_retry(error: Exception) -> Any:
        restarts = isinstance(error, APIConnectionError) and not is_started
        return restarts or api.should_retry(error)

    # Without a wait of its own a provider waits longer each time.
    view: Any = _ProviderView(api, should_retry=should_retry, retry_wait=lambda: None)
    if frame == "raw":
        is_vllm = hasattr(api, "_ensure_server_started")
        provider: Any = vllm.VLLMCompletionsAPI if is_vllm else other.OpenAICompatibleCompletionsAPI
        view.generate = partial(provider.generate, api)
    return view


def _hf_view(grader: Any, spec: Dialogue) -> Any:
    """An `hf/` provider that is greedy at temperature 0, with one BOS token: the template's, or the tokenizer's."""
    api, temperature = grader.api, grader.config.temperature
    view: Any = _ProviderView(api)
    view.generate = partial(type(api).generate, view)  # not that of a model which is evaluated too
    temperature = spec.grader.temperature if temperature is None else temperature
    view.do_sample = api.do_sample and temperature > 0
    if spec.frame == "raw":
        view.hf_chat = lambda messages, _: messages[0].text
        return view
    view.hf_chat = partial(_render_chat, api)
    if (api.chat_template or api.tokenizer.chat_template) and api.use_chat_template is not False:
        view.tokenizer_call_args = {"add_special_tokens": False} | api.tokenizer_call_args
    return view


def _render_chat(api: Any, messages: list[Any], tools: list[Any]) -> str:
    """The prompt text; messages as parts where the template leaves out text (Llama Guard 3 1B, Llama Guard 4)."""
    parts = [{"role": m.role, "content": [{"type": "text", "text": m.text}]} for m in messages]
    settings = {"chat_template": api.chat_template, "add_generation_prompt": True}
    render_parts = partial(api.tokenizer.apply_chat_template, parts, tokenize=False, **settings)
    # Of earlier replies, a template may leave out the thinking.
    read = [one for one in messages if one.role != "assistant" or one is messages[-1]]
    for render in (partial(api.hf_chat, messages, tools), render_parts):
        rendered = str(render())
        if all(message.text.strip() in rendered for message in read):
            return rendered
    raise RimError(f"The chat template of {api.model_name} leaves out what is to be judged.")
