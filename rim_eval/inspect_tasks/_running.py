"""Runs both modes on one prompt, inside one Inspect sample, so that nothing can split a pair."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from logging import getLogger
from typing import TypeVar

import anyio
from inspect_ai.model import (
    ChatMessageAssistant,
    Content,
    ContentReasoning,
    ContentText,
    Model,
    get_model,
)
from inspect_ai.solver import Generate, Solver, TaskState
from inspect_ai.util import collect, span

from rim_eval.decoding import Budgets
from rim_eval.generation import Generation
from rim_eval.inspect_tasks._arms import arm_call
from rim_eval.inspect_tasks._compat import active_generate_config
from rim_eval.inspect_tasks._errors import user_errors
from rim_eval.inspect_tasks._hf import is_hf, teach, token_counter
from rim_eval.inspect_tasks._limits import refuse_shared_limits
from rim_eval.inspect_tasks._reply import failed, read_reply
from rim_eval.inspect_tasks._solver import remember
from rim_eval.inspect_tasks._switches import Found, switch_for
from rim_eval.inspect_tasks._weights import read_weights, remember_weights
from rim_eval.types import Mode

__all__ = ["Switches", "run_arms", "run_modes"]

_LOGGER = getLogger(__name__)
Name = TypeVar("Name", bound=str)
_NO_REPLY = "the sample ended before a reply came"


def run_modes(
    modes: Sequence[Mode], budget: Budgets, switch: str, chat_template: str | None
) -> Solver:
    """The solver that `both_modes` registers: a reply to the same prompt in each mode."""
    switches = Switches(switch, chat_template)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        if state.epoch > 1 and active_generate_config().temperature == 0:
            _warn_of_equal_epochs()
        remember(state, [failed(_NO_REPLY, mode, "switch") for mode in modes])
        found = await switches.of(model)
        remember_weights(state, model)

        def keep(replies: Mapping[Mode, Generation]) -> None:
            remember(state, list(replies.values()))

        await run_arms(model, state, budget, {mode: (found, mode) for mode in modes}, keep)
        return state

    return solve


async def run_arms(
    model: Model,
    state: TaskState,
    budgets: Budgets,
    arms: Mapping[Name, tuple[Found, Mode]],
    keep: Callable[[Mapping[Name, Generation]], None],
) -> None:
    """Ask all arms at once, and keep each reply as soon as it comes.

    A limit on time may end the sample before the others, and an arm that failed must not lose them:
    the sample errs only when all are kept.

    Args:
        model: The evaluated model.
        state: The sample.
        budgets: Token budgets of trace and answer.
        arms: Switch and mode of each arm.
        keep: Stores replies by arm, beside those that it stored before.

    Raises:
        PrerequisiteError: The arms would share a limit, or cannot be asked at all.
    """
    if len(arms) > 1:
        with user_errors():
            refuse_shared_limits()
    keep({name: failed(_NO_REPLY, mode, found.switch.kind) for name, (found, mode) in arms.items()})

    async def answer(name: Name, found: Found, mode: Mode) -> tuple[Generation, Exception | None]:
        reply, error = await _run_arm(model, found, mode, state, budgets)
        keep({name: reply})
        return reply, error

    outcomes = await collect(*(answer(name, *arm) for name, arm in arms.items()))
    state.messages.extend(_message_of(reply, str(model)) for reply, _ in outcomes)
    for _, error in outcomes:
        if error is not None:
            raise error


@cache
def _warn_of_equal_epochs() -> None:
    _LOGGER.warning(
        "Several epochs at temperature 0 are the same reply over and over: they add cost and no information. "
        "Pass --temperature (such as 0.6) with --epochs."
    )


class Switches:
    """The switch of each model, found once and not once a sample."""

    def __init__(self, asked: str, chat_template: str | None) -> None:
        self._asked = asked
        self._chat_template = chat_template
        self._found: dict[int, Found] = {}
        self._lock: anyio.Lock | None = None

    async def of(self, model: Model) -> Found:
        self._lock = self._lock or anyio.Lock()
        async with self._lock:
            if id(model) not in self._found:
                self._found[id(model)] = await self._find(model)
        return self._found[id(model)]

    async def _find(self, model: Model) -> Found:
        with user_errors():
            found = await anyio.to_thread.run_sync(
                switch_for, model, self._asked, self._chat_template
            )
        if is_hf(model.api):
            teach(model.api)
            await anyio.to_thread.run_sync(read_weights, model)
        return found


async def _run_arm(
    model: Model, found: Found, mode: Mode, state: TaskState, budgets: Budgets
) -> tuple[Generation, Exception | None]:
    kind = found.switch.kind
    async with span(name=mode):
        with user_errors():
            call = arm_call(model, found, mode, state.user_prompt.text, budgets, state.epoch)
        try:
            output = await model.generate(call.messages, config=call.config, cache=call.cache)
        except Exception as error:
            return failed(repr(error), mode, kind, call.requested), error
        recipe = found.switch.recipe(mode)
        reply = read_reply(
            output,
            mode=mode,
            arm_kind=kind,
            answer_budget=budgets.answer_tokens,
            opened_by_prompt=recipe.opened_by_prompt,
            count=token_counter(model.api) if is_hf(model.api) else None,
            requested=call.requested,
        )
        return reply, None


def _message_of(reply: Generation, model: str) -> ChatMessageAssistant:
    """A reply as the viewer shows it: an assistant message with its mode, trace and answer."""
    trace = [ContentReasoning(reasoning=reply.trace)] if reply.trace else []
    answer = reply.answer or f"({reply.error or 'no answer'})"
    content: list[Content] = [*trace, ContentText(text=f"[{reply.mode}] {answer}")]
    return ChatMessageAssistant(content=content, model=model, metadata={"mode": reply.mode})
