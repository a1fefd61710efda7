"""Runs both modes on one prompt, inside one Inspect sample, so that nothing can split a pair."""

from collections.abc import Sequence
from functools import cache
from logging import getLogger

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
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.inspect_tasks._arms import arm_call
from rim_eval.inspect_tasks._compat import PrerequisiteError, active_generate_config
from rim_eval.inspect_tasks._hf import is_hf, teach, token_counter
from rim_eval.inspect_tasks._reply import failed, read_reply
from rim_eval.inspect_tasks._solver import remember
from rim_eval.inspect_tasks._switches import Found, switch_for
from rim_eval.outcomes import Mode

__all__ = ["Switches", "message_of", "run_arm", "run_modes"]

_LOGGER = getLogger(__name__)


def run_modes(
    modes: Sequence[Mode], budget: Budgets, switch: str, chat_template: str | None
) -> Solver:
    """The solver that `both_modes` registers: a reply to the same prompt in each mode."""
    switches = Switches(switch, chat_template)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        if state.epoch > 1 and active_generate_config().temperature == 0:
            _warn_of_equal_epochs()
        remember(state, [failed("not run", mode, "switch") for mode in modes])
        found = await switches.of(model)
        runs = [run_arm(model, found, mode, state, budget) for mode in modes]
        outcomes = await collect(*runs)
        replies = [reply for reply, _ in outcomes]
        remember(state, replies)
        state.messages.extend(message_of(reply, str(model)) for reply in replies)
        # An arm that failed must not lose the other one: both are stored before the sample errs.
        for _, error in outcomes:
            if error is not None:
                raise error
        return state

    return solve


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
        try:
            found = await anyio.to_thread.run_sync(
                switch_for, model, self._asked, self._chat_template
            )
        except RimError as error:
            raise PrerequisiteError(str(error)) from None
        if is_hf(model.api):
            teach(model.api)
        return found


async def run_arm(
    model: Model, found: Found, mode: Mode, state: TaskState, budgets: Budgets
) -> tuple[Generation, Exception | None]:
    kind = found.switch.kind
    async with span(name=mode):
        try:
            call = arm_call(model, found, mode, state.user_prompt.text, budgets, state.epoch)
        except RimError as error:
            raise PrerequisiteError(str(error)) from None
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


def message_of(reply: Generation, model: str) -> ChatMessageAssistant:
    """A reply as the viewer shows it: an assistant message with its mode, trace and answer."""
    trace = [ContentReasoning(reasoning=reply.trace)] if reply.trace else []
    answer = reply.answer or f"({reply.error or 'no answer'})"
    content: list[Content] = [*trace, ContentText(text=f"[{reply.mode}] {answer}")]
    return ChatMessageAssistant(content=content, model=model, metadata={"mode": reply.mode})
