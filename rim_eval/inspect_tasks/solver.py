"""The solver `both_modes`: all arms of a prompt inside one Inspect sample, so that nothing can split a pair."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

import anyio
from inspect_ai import model as inspect_model
from inspect_ai.model import Model, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import span, suspend_token_limit, suspend_turn_limit, suspend_working_limit
from pydantic import TypeAdapter

from rim_eval.decoding import Budgets
from rim_eval.errors import failure_text
from rim_eval.fingerprint import cached_fingerprint
from rim_eval.generation import MODEL_KEY, REPLIES_KEY, WEIGHTS_KEY, Generation
from rim_eval.inspect_tasks.compat import (
    PrerequisiteError,
    active_generate_config,
    concerns_all_requests,
    fail_command,
    gather,
    suspend_store_events,
    user_errors,
)
from rim_eval.inspect_tasks.hf import adapt_provider, is_hf, token_counter
from rim_eval.paths import model_name
from rim_eval.types import MODES, ArmKind, Mode, SamplingProtocol

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.arms import Arm, ArmPlan
    from rim_eval.inspect_tasks.switches import ModelSwitch
    from rim_eval.replies import TokenCounter
    from rim_eval.thinking import OwnValues, Probe, Sampling

_LOGGER = getLogger(__name__)
_REPLIES: Final = TypeAdapter(dict[str, Generation])


@solver
def both_modes(
    modes: Sequence[Mode] = MODES,
    answer_tokens: int = 2048,
    thinking_tokens: int = 16384,
    switch: str = "auto",
    chat_template: str | None = None,
    served_as: str | None = None,
    doses: str | None = None,
    attack: str | None = None,
    sampling: SamplingProtocol = "equal",
    think: dict[str, Any] | None = None,
    no_think: dict[str, Any] | None = None,
) -> Solver:
    """Generate a reply to the same prompt in each mode, or with each dose of thinking.

    Args:
        modes: Modes to run; both by default.
        answer_tokens: Token budget of an answer, the same in both modes.
        thinking_tokens: Token budget of the trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
        served_as: Other names by which a server may call the model, separated by commas.
        doses: Doses of thinking in place of the modes, such as `off,512,full`.
        attack: Name of an attack; each sample's metadata holds what it made of the prompt.
        sampling: `equal` decoding of both modes, or each as its maker advises.
        think: The user's own sampling of the think mode.
        no_think: The same of the no-think mode.
    """
    from rim_eval.inspect_tasks.arms import ATTACK, ArmPlan
    from rim_eval.inspect_tasks.sampling import decoding_of
    from rim_eval.thinking import protocol_of

    runner = ArmRunner(answer_tokens, thinking_tokens, switch, chat_template, served_as)
    own: OwnValues = {"think": think, "no_think": no_think}
    plan = ArmPlan.of(modes, doses, attack, sampling=protocol_of(sampling, own))

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        if (
            state.epoch > 1
            and plan.sampling == "equal"
            and active_generate_config().temperature == 0
        ):
            _warn_of_equal_epochs()
        arms = list(plan.planned(attacked=ATTACK in state.metadata))
        store_replies(
            state, {arm.name: no_reply(arm.mode, "switch", arm.condition) for arm in arms}
        )
        thinking = await runner.switch(model)
        if "think" in modes:
            await runner.require_adoption(model, thinking)
        asked = runner.arms(model, thinking, plan, lambda: decoding_of(model, sampling, own))
        await runner.run(state, model, {arm.name: asked[arm.name] for arm in arms})
        return state

    return solve


def stored_replies(state: TaskState, key: str = REPLIES_KEY) -> dict[str, Generation]:
    """What the model wrote for this prompt, by arm; also there when a log is scored again.

    Args:
        state: The sample.
        key: The store's key; by default the arms are the modes.
    """
    return _REPLIES.validate_python(state.store.get(key, {}))


def counter_of(state: TaskState, model: Model) -> "TokenCounter | None":
    """Counts tokens with weights in the process, whose fingerprint is kept with the sample; None for other engines.

    Args:
        state: The sample.
        model: The evaluated model.
    """
    api = cast(Any, model.api)
    if not is_hf(api):
        return None
    if weights := cached_fingerprint(api.model):
        state.store.set(WEIGHTS_KEY, weights)
    return token_counter(api)


def model_of(state: TaskState) -> str:
    """Name of the model that replied, as it was named where it ran."""
    return str(state.store.get(MODEL_KEY) or model_name(str(state.model)))


def store_replies(
    state: TaskState, replies: Mapping[str, Generation], key: str = REPLIES_KEY
) -> None:
    """Put replies beside those of other arms, under a key as `stored_replies` takes it."""
    if MODEL_KEY not in state.store:
        state.store.set(MODEL_KEY, model_name(str(state.model)))
    dumped = {arm: reply.model_dump(mode="json") for arm, reply in replies.items()}
    state.store.set(key, state.store.get(key, {}) | dumped)


@dataclass
class _ModelState:
    """What a run has learned of one model; Inspect may hand one task to several."""

    switch: "ModelSwitch | None" = None
    arms: "dict[str, Arm] | None" = None
    has_replied: bool = False
    refusal: Exception | None = None
    probes: "dict[ArmKind, Probe]" = field(default_factory=dict)


class ArmRunner:
    """Asks the arms of each sample, and ends a model's run where none can be asked.

    Args:
        answer_tokens: Token budget of an answer.
        thinking_tokens: Token budget of the trace, on top of it.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
        served_as: Other names by which a server may call the model, separated by commas.
    """

    def __init__(
        self,
        answer_tokens: int,
        thinking_tokens: int,
        switch: str,
        chat_template: str | None,
        served_as: str | None = None,
    ) -> None:
        self._budgets = Budgets(answer_tokens=answer_tokens, thinking_tokens=thinking_tokens)
        self._switch = switch
        self._chat_template = chat_template
        self._served_as = served_as
        self._lock = anyio.Lock()
        self._states: WeakKeyDictionary[Model, _ModelState] = WeakKeyDictionary()

    def _state(self, model: Model) -> _ModelState:
        return self._states.setdefault(model, _ModelState())

    async def switch(self, model: Model) -> "ModelSwitch":
        """The model's thinking switch; the `hf/` provider is adapted on the way.

        Raises:
            PrerequisiteError: No switch can be found, or the model cannot be asked with these budgets.
        """
        from rim_eval.inspect_tasks.finding import report_when_finished
        from rim_eval.inspect_tasks.switches import switch_for

        state = self._state(model)
        if state.switch is not None:
            return state.switch
        report_when_finished()
        async with self._lock:
            with self.ending_the_run(model), user_errors():
                switch = await anyio.to_thread.run_sync(
                    switch_for, model, self._switch, self._chat_template
                )
            if is_hf(model.api):
                adapt_provider(model.api)
                await anyio.to_thread.run_sync(cached_fingerprint, cast(Any, model.api).model)
        state.switch = switch
        return switch

    def arms(
        self,
        model: Model,
        thinking: "ModelSwitch",
        plan: "ArmPlan",
        decoding: "Callable[[], dict[Mode, Sampling]]",
    ) -> "dict[str, Arm]":
        """The arms of a plan by name; made once a model, for what a maker advises may be asked of the hub.

        Args:
            model: The evaluated model.
            thinking: Its thinking switch, as `switch` found it.
            plan: The arms of the run.
            decoding: Gives how each mode is decoded.

        Raises:
            PrerequisiteError: The model cannot be given a dose or a sampling.
        """
        state = self._state(model)
        if state.arms is None:
            with self.ending_the_run(model), user_errors():
                state.arms = plan.with_decoding(decoding()).arms(model, thinking)
        return state.arms

    async def require_adoption(self, model: Model, thinking: "ModelSwitch") -> None:
        """Refuse a run whose think arm the model ignores, before its first prompt.

        The probe is asked once for each model, inside the first sample, where the log shows it; others wait for
        it. The decision stands whatever ends that sample: it rests on the replies that came.

        Args:
            model: The evaluated model.
            thinking: Its thinking switch, as `switch` found it.

        Raises:
            PrerequisiteError: Less than half of the probe's replies reason.
        """
        from rim_eval.thinking import needs_probe, not_adopted

        kind = thinking.switch.kind
        if not needs_probe(kind, str(model).partition("/")[0]):
            return
        async with self._lock:
            with self.ending_the_run(model), user_errors():
                probe, other = await self._probe(model, thinking), None
                if probe.is_hopeless:
                    if kind == "prompted":
                        other = await self._probe(model, await self._chain_of_thought(model))
                    raise not_adopted(str(model), kind, probe, other)

    async def _chain_of_thought(self, model: Model) -> "ModelSwitch":
        from rim_eval.inspect_tasks.switches import switch_for

        return await anyio.to_thread.run_sync(
            switch_for, model, "chain_of_thought", self._chat_template
        )

    async def _probe(self, model: Model, thinking: "ModelSwitch") -> "Probe":
        """Ask the probe's questions in the think arm of a switch; a question that fails tells nothing.

        It uses up no limit of the sample it is asked in but those on time and cost. Where one of these ends the
        sample, the replies that came are the probe, so that no further sample is spent on it.
        """
        from rim_eval.inspect_tasks.calls import arm_call, read_output
        from rim_eval.thinking import PROBE_QUESTIONS, Probe, probe_budgets

        kind, probes = thinking.switch.kind, self._state(model).probes
        if kind in probes:
            return probes[kind]
        budgets, replies = probe_budgets(self._budgets), list[Generation]()

        async def ask(question: str) -> None:
            call = arm_call(model, thinking, "think", question, budgets)
            try:
                output = await model.generate(call.messages, config=call.config, cache=call.cache)
            except Exception as error:
                _LOGGER.info("A question before the run failed: %s", failure_text(error))
                return
            replies.append(read_output(output, call.request))

        try:
            with suspend_token_limit(), suspend_turn_limit(), suspend_working_limit():
                async with span(name="probe"):
                    await gather(*(ask(question) for question in PROBE_QUESTIONS))
        finally:
            probes[kind] = Probe.of(replies)
        if warning := probes[kind].warning:
            _LOGGER.warning(warning)
        return probes[kind]

    async def run(
        self,
        state: TaskState,
        model: Model,
        arms: "Mapping[str, Arm]",
        key: str = REPLIES_KEY,
    ) -> None:
        """Ask all arms at once, and keep each reply as soon as it comes.

        A limit on time may end the sample before the others, and an arm that failed must not lose
        them: the sample errs only when all are kept.

        Args:
            state: The sample.
            model: The evaluated model.
            arms: The arms by name.
            key: Where replies are kept, as `stored_replies` takes it.

        Raises:
            PrerequisiteError: The arms cannot be asked at all.
        """
        with self.ending_the_run(model):
            await self._ask(state, model, arms, key)

    @contextmanager
    def ending_the_run(self, model: Model) -> Iterator[None]:
        """End a model's run where none of its requests can be answered: every further sample errs without asking.

        A missing prerequisite ends it also after replies: it concerns those too.

        Args:
            model: The evaluated model; the runs of others go on.
        """
        state = self._state(model)
        if state.refusal is not None:
            raise state.refusal.with_traceback(None)  # of each sample, not of all before it
        try:
            yield
        except Exception as error:
            holds = isinstance(error, PrerequisiteError) or not state.has_replied
            if state.refusal is None and holds and concerns_all_requests(error):
                state.refusal = error
                fail_command(error)
            raise

    async def _ask(
        self,
        state: TaskState,
        model: Model,
        arms: "Mapping[str, Arm]",
        key: str,
    ) -> None:
        from rim_eval.inspect_tasks.arms import Asking, arm_message, ask_arm, failed_arm

        replies = {
            name: no_reply(arm.mode, arm.switch.switch.kind, arm.condition)
            for name, arm in arms.items()
        }
        store_replies(state, replies, key)
        count = counter_of(state, model)
        prompt, facts = state.user_prompt.text, state.metadata

        def keep(name: str, reply: Generation) -> None:
            replies[name] = reply
            store_replies(state, {name: reply}, key)

        asking = Asking(self._budgets, state.epoch, self._served_as, count)

        async def ask(name: str, arm: "Arm") -> Exception | None:
            async with span(name):
                message = arm_message(prompt, facts, arm)
                try:
                    reply = await ask_arm(model, arm, message, asking)
                except PrerequisiteError:
                    raise
                except Exception as error:
                    keep(name, failed_arm(model, arm, message, asking, error))
                    return error
                self._state(model).has_replied = True
                keep(name, reply)
                return None

        with (
            suspend_store_events()
        ):  # the solver's own span records what all arms left in the store
            errors = await gather(*(ask(name, arm) for name, arm in arms.items()))
        state.messages.extend(messages_of(replies, str(model)))
        for error in filter(None, errors):
            raise error


def no_reply(mode: Mode, kind: ArmKind, condition: Mapping[str, Any]) -> Generation:
    """What stands for an arm's reply until it comes."""
    error = "the sample ended before a reply came"
    return Generation(mode=mode, arm_kind=kind, stop_reason="error", error=error, **condition)


@cache
def _warn_of_equal_epochs() -> None:
    _LOGGER.warning(
        "Several epochs at temperature 0 are the same reply over and over: they add cost and no information. "
        "Pass --temperature (such as 0.6) with --epochs."
    )


def messages_of(
    replies: Mapping[str, Generation], model: str
) -> list[inspect_model.ChatMessageAssistant]:
    """The replies as the viewer shows them: which arm it is in words, its trace (folded), and last its answer.

    Args:
        replies: The reply of each arm.
        model: Name of the model.
    """
    from rim_eval.inspect_tasks.viewer import in_reading_order

    return [_message_of(arm, replies[arm], model) for arm in in_reading_order(replies)]


def _message_of(arm: str, reply: Generation, model: str) -> inspect_model.ChatMessageAssistant:
    from rim_eval.inspect_tasks.viewer import answer_text, arm_words

    heading = f"{arm_words(arm).upper()}\n\n"  # the viewer joins texts
    content: list[inspect_model.Content] = [inspect_model.ContentText(text=heading)]
    if reply.trace:
        content.append(inspect_model.ContentReasoning(reasoning=reply.trace))
    content.append(inspect_model.ContentText(text=answer_text(reply)))
    return inspect_model.ChatMessageAssistant(
        content=content, model=model, metadata={"mode": reply.mode, "arm": arm}
    )
