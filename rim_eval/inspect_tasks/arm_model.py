"""The evaluated model in one mode, for solvers and agents that ask it themselves, as often as they like.

Inspect takes it for the evaluated model: it has the same provider (and with it the name, the connections
and the token counts), and only adds to each request what asks for the mode. The mode is added before
Inspect looks into its cache and writes its log, so both see it.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import anyio
from inspect_ai import model as inspect_model
from inspect_ai.model import (
    CachePolicy,
    ChatMessage,
    ChatMessageSystem,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    Model,
    ModelOutput,
)

from rim_eval.decoding import Budgets
from rim_eval.generation import Generation, TraceVisibility
from rim_eval.inspect_tasks.arms import Arm
from rim_eval.inspect_tasks.calls import Call, arm_call, read_output
from rim_eval.inspect_tasks.compat import NOT_GIVEN, NotGiven
from rim_eval.replies import TokenCounter
from rim_eval.thinking import Recipe, require_difference
from rim_eval.types import FrozenModel

_VISIBILITY: Final[tuple[TraceVisibility, ...]] = ("full", "summary", "hidden", "none")


_compared: Final[WeakKeyDictionary[Model, set[tuple[str, str]]]] = WeakKeyDictionary()
"""Switches and system messages beside which the modes were seen to differ, by model."""


class ArmSettings(FrozenModel):
    """How the requests of one arm are made, beside its mode."""

    budgets: Budgets
    """A request's own `max_tokens` takes the place of the answer budget; the thinking budget is always on top."""
    epoch: int = 1
    served_as: str | None = None
    stop_seqs: tuple[str, ...] = ()
    """Texts that end an answer. They are looked for in the answer alone: an engine would stop in the trace."""
    keeps_marked_text: bool = False
    """Whether an answer that the model was asked to mark stays in its reply as it was written, for scorers
    that look for a form of their own."""


class ArmModel(Model):
    """The evaluated model, asked in one mode.

    Args:
        model: The evaluated model.
        arm: Its thinking switch, the mode to ask in, and how that is decoded.
        settings: How requests are made.
        count: Counts tokens of a text; None where no tokenizer is at hand.
        on_reply: Called after each reply with all replies so far as one.
    """

    def __init__(
        self,
        model: Model,
        arm: Arm,
        settings: ArmSettings,
        count: TokenCounter | None = None,
        on_reply: Callable[[Generation], None] = lambda _: None,
    ) -> None:
        super().__init__(model.api, model.config, model.model_args)
        self._evaluated, self._arm = model, arm
        self._settings, self._count, self._on_reply = settings, count, on_reply
        self.replies: list[Generation] = []
        """Every reply, in the order in which they came; a request that failed is one with an error."""

    async def generate(
        self,
        input: str | list[ChatMessage],
        tools: Any = (),
        tool_choice: Any = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  (the base class's own default)
        cache: bool | CachePolicy | NotGiven = NOT_GIVEN,
        on_stream: Any = None,
    ) -> ModelOutput:
        """Ask as Inspect's own `generate` does, in this arm's mode."""
        recipe = self._arm.switch.switch.recipe(self._arm.mode)
        call = self._call(config)
        messages = [ChatMessageUser(content=input)] if isinstance(input, str) else list(input)
        await self._require_difference(messages)
        has_system = bool(messages) and messages[0].role == "system"
        try:
            output = await super().generate(
                messages_in_mode(messages, recipe, call.messages[:-1]),
                list(tools) if isinstance(tools, Sequence) else tools,
                tool_choice,
                self._config(config, call, has_system=has_system),
                self._cache(cache, config),
                on_stream,
            )
        except Exception as error:
            self._keep(call.request.failed(repr(error)))
            raise
        return self._read(output, call, self._stops(config))

    async def _require_difference(self, messages: Sequence[ChatMessage]) -> None:
        """Refuse a conversation whose system message keeps the template from reading the switch, once for each text."""
        switch, render = self._arm.switch.switch, self._arm.switch.render
        if render is None or switch.kind != "switch":
            return
        systems = [message.text for message in messages if isinstance(message, ChatMessageSystem)]
        compared = _compared.setdefault(self._evaluated, set())
        if systems and (switch.name, systems[0]) not in compared:
            await anyio.to_thread.run_sync(
                partial(require_difference, render, switch, system=systems[0])
            )
            compared.add((switch.name, systems[0]))

    def _call(self, config: GenerateConfig) -> Call:
        """What asks for the mode, without a prompt."""
        settings, answer = self._settings, self._resolve_config(config).max_tokens
        budgets = settings.budgets
        if answer is not None:
            budgets = budgets.model_copy(update={"answer_tokens": answer})
        arm = self._arm
        return arm_call(
            self._evaluated,
            arm.switch,
            arm.mode,
            "",
            budgets,
            settings.epoch,
            settings.served_as,
            arm.sampling,
            arm.condition,
        )

    def _config(self, config: GenerateConfig, call: Call, *, has_system: bool) -> GenerateConfig:
        """The request's own settings, with those of the mode over them."""
        body = (config.extra_body or {}) | (call.config.extra_body or {})
        update: dict[str, Any] = {"extra_body": body or None}
        if has_system:  # the mode's text goes into it: some templates take one system message only
            update["system_message"] = None
        alike = {"reasoning_effort": None, "reasoning_tokens": None}
        own = config.model_copy(update={"stop_seqs": None} | alike)
        return own.merge(call.config.model_copy(update=update))

    def _cache(
        self, cache: bool | CachePolicy | NotGiven, config: GenerateConfig
    ) -> bool | CachePolicy:
        """The cache policy, with the mode in its scope."""
        given = self._resolve_config(config).cache if isinstance(cache, NotGiven) else cache
        if not given:
            return False
        policy = given if isinstance(given, CachePolicy) else CachePolicy()
        arm = self._arm
        scopes = policy.scopes | {"rim_eval_mode": arm.mode, "rim_eval_arm": arm.switch.switch.kind}
        return policy.model_copy(update={"scopes": scopes})

    def _stops(self, config: GenerateConfig) -> Sequence[str]:
        return config.stop_seqs or self._settings.stop_seqs

    def _read(self, output: ModelOutput, call: Call, stops: Sequence[str]) -> ModelOutput:
        """Keep the reply, and give it back with its trace apart from its answer."""
        reply = read_output(output, call.request, self._count)
        if reply.error is None:
            reply = reply.model_copy(update={"answer": _until(reply.answer, stops)})
            if not (call.request.marks_answer and self._settings.keeps_marked_text):
                output = _with_trace_apart(output, reply)
        self._keep(_with_tool_calls(reply, output))
        return output

    def _keep(self, reply: Generation) -> None:
        self.replies.append(reply)
        self._on_reply(as_one(self.replies))


def messages_in_mode(
    messages: Sequence[ChatMessage], recipe: Recipe, examples: Sequence[ChatMessage] = ()
) -> list[ChatMessage]:
    """A conversation with the words that ask for a mode; the messages themselves are left as they are.

    Where the conversation has no system message, the mode's is left to the request's settings.

    Args:
        messages: The conversation.
        recipe: How the mode is asked for.
        examples: Exchanges that stand before it.
    """
    suffix = recipe.user_suffix
    asked = [
        _with_text(message, message.content, f"\n\n{suffix}")
        if suffix and isinstance(message, ChatMessageUser)
        else message
        for message in messages
    ]
    first = asked[0] if asked else None
    if not isinstance(first, ChatMessageSystem):
        return [*examples, *asked]
    if recipe.system:
        first = _with_text(first, f"{recipe.system}\n\n", first.content)
    return [first, *examples, *asked[1:]]


_Message = TypeVar("_Message", ChatMessageSystem, ChatMessageUser)


def _with_text(message: _Message, *parts: "str | list[inspect_model.Content]") -> _Message:
    """A copy of a message that consists of texts and lists of parts, in their order."""
    if all(isinstance(part, str) for part in parts):
        return message.model_copy(update={"content": "".join(map(str, parts))})
    content: list[inspect_model.Content] = []
    for part in parts:
        content += [ContentText(text=part)] if isinstance(part, str) else part
    return message.model_copy(update={"content": content})


def _until(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of some texts in it."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places, default=None)] if places else text


def _with_trace_apart(output: ModelOutput, reply: Generation) -> ModelOutput:
    """A reply whose text is the answer alone, so that no scorer reads the trace as part of it."""
    message = output.choices[0].message
    if message.text.strip() == reply.answer.strip():
        return output
    parts = [] if isinstance(message.content, str) else message.content
    content: list[inspect_model.Content]
    content = [part for part in parts if not isinstance(part, ContentText)]
    has_trace = any(isinstance(part, ContentReasoning) for part in content)
    if reply.trace and not has_trace:
        content.insert(0, ContentReasoning(reasoning=reply.trace))
    content.append(ContentText(text=reply.answer))
    message = message.model_copy(update={"content": content})
    choice = output.choices[0].model_copy(update={"message": message})
    choices = [choice, *output.choices[1:]]
    return output.model_copy(update={"choices": choices, "completion": reply.answer})


def _with_tool_calls(reply: Generation, output: ModelOutput) -> Generation:
    """A reply that calls tools says something, though its text may be empty: the calls stand as its answer."""
    calls = (output.choices[0].message.tool_calls or []) if output.choices else []
    if not calls or reply.error is not None:
        return reply
    written = [f"{each.function}({json.dumps(each.arguments, default=str)})" for each in calls]
    return reply.model_copy(update={"answer": "\n".join(filter(None, [reply.answer, *written]))})


def as_one(replies: Sequence[Generation]) -> Generation:
    """Several replies of one arm as one, which verifies its mode: it thought where any of them did.

    Answer, stop reason and error are the last reply's, tokens are summed, and a flag holds where it holds for any.

    Args:
        replies: At least one reply, in their order.
    """
    if len(replies) == 1:
        return replies[0]
    last, traces = replies[-1], [reply.trace for reply in replies if reply.trace]
    other = next((reply for reply in replies if reply.other_model), last)
    tokens = ("trace_tokens", "answer_tokens", "output_tokens")
    flags = ("over_budget", "trace_over_budget", "over_limit", "looping", "other_model")
    closed = [reply.trace_closed for reply in replies if reply.trace_closed is not None]
    update: dict[str, Any] = {name: _total(replies, name) for name in tokens}
    update |= {name: any(getattr(reply, name) for reply in replies) for name in flags}
    return last.model_copy(
        update=update
        | {
            "trace": "\n\n".join(traces) or last.trace,
            "visibility": min((reply.visibility for reply in replies), key=_VISIBILITY.index),
            "trace_closed": all(closed) if closed else None,
            "served_model": other.served_model,
            "unknown_marks": next(filter(None, (reply.unknown_marks for reply in replies)), None),
        }
    )


def _total(replies: Sequence[Generation], name: str) -> int | None:
    counts = [count for reply in replies if (count := getattr(reply, name)) is not None]
    return sum(counts) if counts else None
