"""The model call of one arm: what is sent in a mode, and how its reply becomes trace and answer."""

from collections.abc import Mapping
from functools import cache
from logging import getLogger
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, cast

from inspect_ai import model as inspect_model
from inspect_ai.model import (
    CachePolicy,
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    GenerateConfig,
    Model,
)

from rim_eval.decoding import Budgets
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.inspect_tasks.compat import active_generate_config
from rim_eval.inspect_tasks.hf import PREFILL, HFRenderer, is_hf
from rim_eval.inspect_tasks.options import refuse_cuts, refuse_effort, refuse_fallbacks
from rim_eval.inspect_tasks.switches import ModelSwitch
from rim_eval.replies import ArmRequest, TokenCounter, read_reply
from rim_eval.thinking import Recipe, Renderer, Sampling, sends_fields, template_renderer
from rim_eval.thinking.budget_forcing import TraceMarks, trace_marks
from rim_eval.types import ASKED_IN_WORDS, Mode

_LOGGER: Final = getLogger(__name__)


class Call(NamedTuple):
    """One model call in one mode, ready to be made."""

    messages: list[ChatMessage]
    config: GenerateConfig
    cache: CachePolicy | bool
    request: ArmRequest
    """What the reply is read by."""


def arm_call(
    model: Model,
    thinking: ModelSwitch,
    mode: Mode,
    user_message: str,
    budgets: Budgets,
    epoch: int = 1,
    served_as: str | None = None,
    sampling: Sampling | None = None,
    condition: Mapping[str, Any] = MappingProxyType({}),
) -> Call:
    """The call that asks `user_message` in one mode.

    The mode travels in the request's `extra_body` (or as `reasoning_effort`), so it is part of Inspect's
    cache key and of the logged call; a cache scope names it once more. The user's own `extra_body`,
    system message and cache policy are merged, never replaced. Both modes of an epoch have the same
    seed and each epoch its own: one seed for all would make every epoch a copy of the first.

    Args:
        model: The evaluated model.
        thinking: Its thinking switch.
        mode: Mode to ask in.
        user_message: The prompt.
        budgets: Token budgets of trace and answer.
        epoch: Number of the epoch, from 1.
        served_as: Other names by which a server may call the model, separated by commas.
        sampling: How this mode is decoded; None as the run's own settings say, for both modes.
        condition: Dose, attack and sampling of the arm, as `Generation` names them.

    Raises:
        RimError: `--max-tokens` or `--stop-seqs` was given (they would mean different things in the
            two arms), thinking was set by a flag for both arms alike, other models would answer where this
            one declines, or the model cannot be given the mode's fields or prefilled trace through this provider.
    """
    switch = thinking.switch
    recipe = switch.recipe(mode)
    user = model.config.merge(active_generate_config())
    refuse_cuts(user)
    refuse_fallbacks(user)
    if recipe.body or recipe.reasoning_effort or recipe.reasoning_tokens:
        refuse_effort(user, switch.name)
    words = _body(model, recipe, thinking.template)
    decoding = sampling_config(model, sampling)
    body = _merge_deep(user.extra_body or {}, words | (decoding.extra_body or {}))
    system = "\n\n".join(filter(None, [recipe.system, user.system_message]))
    head = 1 if recipe.system else 0  # Inspect writes the system message, with the user's own
    cache = user.cache or False
    if cache:
        policy = cache if isinstance(cache, CachePolicy) else CachePolicy()
        scopes = policy.scopes | {"rim_eval_mode": mode, "rim_eval_arm": switch.kind}
        scopes |= {f"rim_eval_{name}": str(value) for name, value in condition.items()}
        cache = policy.model_copy(update={"scopes": scopes})
    return Call(
        messages=[_message(**message) for message in recipe.messages(None, user_message)[head:]],
        config=decoding.merge(
            GenerateConfig(
                max_tokens=budgets.total(mode),
                seed=None if user.seed is None else user.seed + epoch - 1,
                extra_body=body or None,
                system_message=system or None,
                reasoning_effort=cast(Any, recipe.reasoning_effort),
                reasoning_tokens=recipe.reasoning_tokens,
            )
        ),
        cache=cache,
        request=_request(
            ArmRequest.of(switch, mode, budgets, _names(model), served_as),
            sent_settings(model, sampling) if sampling else None,
            condition,
        ),
    )


def _request(
    request: ArmRequest, settings: Mapping[str, Any] | None, condition: Mapping[str, Any]
) -> ArmRequest:
    values = {} if settings is None else {"sampling": dict(settings)}
    return request._replace(requested={**request.requested, **values}, condition=condition)


_OPEN_SERVERS: Final = ("vllm", "vllm-lens", "sglang", "openai-api")
"""Providers of engines of one's own, which take any sampling setting as a field of the request."""

_OF_BODY: Final = ("top_k", "min_p", "repetition_penalty")
"""Settings that Inspect does not send to them itself (0.3.285)."""

_WITH_TOP_K: Final = ("anthropic", "bedrock", "google", "hf", "nnterp", "sagemaker", "together")
_WITHOUT_PENALTY: Final = ("anthropic", "hf", "nnterp")
"""Other providers that send `top_k`, and that send no presence penalty, by their code."""


def sent_settings(model: Model, sampling: Sampling) -> dict[str, Any]:
    """The settings of a sampling that reach a model through its provider; warns of those that do not.

    Args:
        model: The evaluated model.
        sampling: The sampling.
    """
    provider = str(model).partition("/")[0]
    lost = set[str]()
    if provider not in _OPEN_SERVERS:
        lost = {*_OF_BODY} - ({"top_k"} if provider in _WITH_TOP_K else set())
        lost |= {"presence_penalty"} if provider in _WITHOUT_PENALTY else set()
    if names := [name for name in sampling.effective if name in lost]:
        _warn_of_lost(str(model), ", ".join(names))
    return {name: value for name, value in sampling.effective.items() if name not in lost}


def sampling_config(model: Model, sampling: Sampling | None) -> GenerateConfig:
    """The settings of Inspect that decode as a sampling says.

    Args:
        model: The evaluated model.
        sampling: The sampling; None for no settings.
    """
    if sampling is None:
        return GenerateConfig()
    settings, known = sent_settings(model, sampling), GenerateConfig.model_fields
    is_open = str(model).partition("/")[0] in _OPEN_SERVERS
    body: dict[str, Any] = {
        name: settings[name] for name in _OF_BODY if is_open and name in settings
    }
    named = {name: value for name, value in settings.items() if name in known}
    return GenerateConfig(**named, extra_body=body or None)


@cache
def _warn_of_lost(model: str, names: str) -> None:
    _LOGGER.warning(
        f"The provider of {model} does not pass on {names}: the model is sampled without."
    )


def _message(role: str, content: str) -> ChatMessage:
    assistant = role == "assistant"
    return ChatMessageAssistant(content=content) if assistant else ChatMessageUser(content=content)


def _names(model: Model) -> tuple[str, ...]:
    """The name that is sent, and the provider's own (which mocks give back)."""
    return (model.api.service_model_name(), str(model).partition("/")[0])


def _merge_deep(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings together, nested ones merged; where both have a value, the second's holds."""
    merged = dict(first)
    for key, value in second.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge_deep(merged[key], value) if both else value
    return merged


def _body(model: Model, recipe: Recipe, template: str | None) -> dict[str, Any]:
    words = {"chat_template_kwargs": dict(recipe.template_kwargs)} if recipe.template_kwargs else {}
    words |= recipe.body
    if words and not sends_fields(str(model).split("/", 1)[0]):
        raise RimError(
            f"The provider of {model} sends no fields of your own and no template words, so both modes would be asked "
            "the same. Ask the model through `hf/`, `vllm/` or `openai-api/SERVICE`, or switch in words: "
            "`-T switch=system:/no_think`."
        )
    if not recipe.prefill:
        return words
    if is_hf(model.api):
        return words | {PREFILL: recipe.prefill}
    if template is not None and str(model).startswith("vllm/"):
        # Needs a server started with --trust-request-chat-template; without it, vLLM says so.
        return words | {"chat_template": pin_prefill(template, recipe.prefill)}
    raise RimError(
        f"{model} always thinks, and its no-think arm needs an empty trace written for it. The `hf/` provider "
        "can do that, and `vllm/` with the template at hand (`-T chat_template=FILE`) and a server started with "
        "--trust-request-chat-template. Else measure one mode: `-T modes=think`."
    )


def pin_prefill(source: str, prefill: str) -> str:
    """Return a template that continues its generation prompt with a text, for engines that take no prefill.

    Args:
        source: The chat template.
        prefill: Text that follows the generation prompt.
    """
    # Jinja drops a template's last newline only where it stands last.
    opening = "{%+ if add_generation_prompt %}{{ " + ascii(prefill) + " }}{% endif %}"
    return source.removesuffix("\n") + opening


def can_prefill(model: Model, thinking: ModelSwitch) -> bool:
    """Whether a text can be written at the start of this model's turn through its provider."""
    has_way = is_hf(model.api) or str(model).startswith("vllm/")
    return thinking.template is not None and has_way


def marks_of(model: Model, thinking: ModelSwitch, recipe: Recipe) -> TraceMarks | None:
    """How the model's traces are marked after the prompt of a recipe; None where it knows none.

    Args:
        model: The evaluated model; a text can be written at the start of its turn.
        thinking: Its thinking switch.
        recipe: The recipe of the think mode.
    """
    template = thinking.template or ""
    render: Renderer = HFRenderer(model.api) if is_hf(model.api) else template_renderer(template)
    return trace_marks(recipe.prompt(render, "Say hello."), template)


def prefilled_arm(
    model: Model, thinking: ModelSwitch, text: str | None
) -> tuple[ModelSwitch, Mode]:
    """An arm whose reply begins with a given text: its switch, and the mode in which it is called.

    A thinking model thinks, and the text stands at the start of its trace; any other model is asked
    plainly, and the text stands after the prompt template's last token (paper, appendix D.2).

    Args:
        model: The evaluated model.
        thinking: Its thinking switch.
        text: The text; None for an arm without one.

    Raises:
        RimError: Nothing can be prefilled for this model through this provider.
    """
    switch = thinking.switch
    asked = switch.kind in ASKED_IN_WORDS
    recipe = Recipe() if asked else switch.think
    if text is not None:
        if not can_prefill(model, thinking):
            raise RimError(
                f"A statement has to be written at the start of the turn of {model}, which needs the `hf/` provider, "
                "or `vllm/` with the chat template at hand (-T chat_template=FILE) and a server started with "
                "--trust-request-chat-template. Hosted models cannot be measured so."
            )
        update: dict[str, Any] = {"prefill": text}
        if not asked:
            marks = marks_of(model, thinking, recipe)
            if marks is None:
                raise RimError(
                    f"How {model} opens its trace is not in its chat template, so no statement can be put at "
                    "its start. Give the template with -T chat_template=FILE."
                )
            prefill = (recipe.prefill or "") + marks.opening + text
            update = {"prefill": prefill, "opened_by_prompt": True}
        recipe = recipe.model_copy(update=update)
    arm = switch.model_copy(update={"think": recipe, "no_think": recipe})
    return thinking._replace(switch=arm), "no_think" if asked else "think"


def read_output(
    output: inspect_model.ModelOutput, request: ArmRequest, count: TokenCounter | None = None
) -> Generation:
    """Split and measure one reply.

    Reads the message's parts and never `ModelOutput.completion`, which holds the trace on some
    providers, and falls back to it on others when the answer is empty.

    Args:
        output: The provider's reply.
        request: What was asked.
        count: Counts tokens of a text; None where no tokenizer is at hand.
    """
    reply = _read_choice(output, request, count)
    if output.fallback is not None:
        served = output.fallback.fallback_model
        return reply.model_copy(update={"served_model": served, "other_model": True})
    return reply


def _read_choice(
    output: inspect_model.ModelOutput, request: ArmRequest, count: TokenCounter | None
) -> Generation:
    declined = not output.empty and output.stop_reason == "content_filter"
    if output.empty or (output.error and not declined):
        return request.failed(output.error or "the engine returned no choice")
    choice, usage = output.choices[0], output.usage
    thoughts, text = _parts(choice)
    if choice.stop_reason == "model_length" and usage is None:
        # Inspect's providers make a reply of a request that is too long for the model, with the engine's error as its
        # text. A reply that the model's window cut comes with its tokens.
        return request.failed(choice.message.text)
    redacted = any(part.redacted for part in thoughts)
    reasoning = "\n".join(
        trace for part in thoughts if (trace := part.summary if redacted else part.reasoning)
    )
    redaction: Literal["summary", "hidden"] = "summary" if reasoning else "hidden"
    return read_reply(
        request,
        text=text,
        stop_reason=choice.stop_reason,
        reasoning=reasoning or None,
        redaction=redaction if redacted else None,
        output_tokens=usage.output_tokens if usage else None,
        reasoning_tokens=usage.reasoning_tokens if usage else None,
        served_model=output.model or None,
        count=count,
    )


def _parts(
    choice: inspect_model.ChatCompletionChoice,
) -> tuple[list[inspect_model.ContentReasoning], str]:
    """The separated trace of a reply, and its text."""
    content = choice.message.content
    parts = [inspect_model.ContentText(text=content)] if isinstance(content, str) else content
    thoughts = [part for part in parts if isinstance(part, inspect_model.ContentReasoning)]
    return thoughts, "".join(p.text for p in parts if isinstance(p, inspect_model.ContentText))


def written_parts(output: inspect_model.ModelOutput) -> tuple[str, str | None]:
    """What a model wrote: the text of its reply, and the trace where the engine separates it (else None)."""
    thoughts, text = _parts(output.choices[0])
    return text, "".join(part.reasoning for part in thoughts) if thoughts else None
