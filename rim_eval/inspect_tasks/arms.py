"""The arms of a prompt: each mode or dose of thinking, bare and attacked, and how one of them is asked.

An arm of a trace budget is asked in two calls: one as long as the budget, and where the model was not ready, one
that closes its trace and lets it answer. An arm with more thinking is asked again after its trace, too.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inspect_ai.model import Model
from pydantic import Field

from rim_eval.decoding import Budgets
from rim_eval.errors import RimError
from rim_eval.generation import Generation
from rim_eval.prompt_sets import message_in_arm
from rim_eval.thinking import Dose, Sampling, read_doses
from rim_eval.types import MODES, FrozenModel, Mode, SamplingProtocol

if TYPE_CHECKING:
    from inspect_ai.model import ModelOutput

    from rim_eval.inspect_tasks.calls import Call
    from rim_eval.inspect_tasks.switches import ModelSwitch
    from rim_eval.replies import TokenCounter
    from rim_eval.thinking.budget_forcing import TraceMarks

ATTACK: Final = "attack"
ATTACK_TEXT: Final = "attack_text"
"""Keys of a sample's metadata: name of the attack, and what it made of the prompt; absent where it has nothing."""

_BUDGET_PROVIDERS: Final = ("anthropic", "google")
"""Providers of Inspect that limit a trace themselves (`reasoning_tokens`)."""


class Arm(NamedTuple):
    """One way of asking a prompt."""

    switch: "ModelSwitch"
    mode: Mode
    dose: Dose | None = None
    attack: str | None = None
    sampling: Sampling | None = None
    """How it is decoded; None as the run's settings say."""
    protocol: SamplingProtocol = "equal"

    @property
    def condition(self) -> dict[str, Any]:
        """Dose, attack and sampling, as `Generation` names them."""
        dose = self.dose and self.dose.name
        return {"dose": dose, "attack": self.attack, "sampling": self.protocol}

    def budgets(self, run: Budgets) -> Budgets:
        """The arm's token budgets: of a dose with a budget, that of its trace."""
        return _budgets_of(self.dose, run)


def _budgets_of(dose: Dose | None, run: Budgets) -> Budgets:
    if dose is None or dose.budget is None:
        return run
    return run.model_copy(update={"thinking_tokens": dose.budget})


class PlannedArm(NamedTuple):
    """One arm of a run, before a model's switch is known."""

    name: str
    mode: Mode
    dose: Dose | None
    attack: str | None
    sampling: SamplingProtocol

    @property
    def condition(self) -> dict[str, Any]:
        """Dose, attack and sampling, as `Generation` names them."""
        dose = self.dose and self.dose.name
        return {"dose": dose, "attack": self.attack, "sampling": self.sampling}

    def most_tokens(self, run: Budgets) -> int:
        """Tokens that a reply may have at most, all its requests together.

        Args:
            run: The run's token budgets.
        """
        whole = _budgets_of(self.dose, run).total(self.mode)
        # A trace that is opened again: a second request within the rest of the budgets.
        return 2 * whole if self.dose and self.dose.is_continued else whole


class ArmPlan(FrozenModel):
    """Which arms a run asks; everything but the model's own switch."""

    modes: tuple[Mode, ...] = MODES
    doses: tuple[Dose, ...] = ()
    """Doses in place of the modes."""
    attack: str | None = None
    """Name of an attack that every arm is asked under too."""
    sampling: SamplingProtocol = "equal"
    decoding: dict[Mode, Sampling] = Field(default={})
    """How each mode is decoded; empty where both are as the run's settings say."""

    @classmethod
    def of(
        cls,
        modes: Sequence[Mode],
        doses: str | None = None,
        attack: str | None = None,
        **fields: Any,
    ) -> "ArmPlan":
        """The plan of a run's settings.

        Args:
            modes: Modes to run.
            doses: Doses as the user names them.
            attack: Name of the attack.
            **fields: `sampling` and `decoding`.

        Raises:
            RimError: The doses cannot be read.
        """
        read = read_doses(doses) if doses else ()
        return cls(modes=tuple(modes), doses=read, attack=attack, **fields)

    def planned(self, *, attacked: bool = True) -> Iterator[PlannedArm]:
        """The arms of a prompt, in the order in which they are shown.

        Args:
            attacked: Whether the attack has something for this prompt.
        """
        asked: list[tuple[str, Mode, Dose | None]]
        asked = [(dose.name, dose.mode, dose) for dose in self.doses]
        asked = asked or [(mode, mode, None) for mode in self.modes]
        attacks = (None, self.attack) if self.attack and attacked else (None,)
        for attack, (name, mode, dose) in product(attacks, asked):
            whole = f"{name}+attack" if attack else name
            yield PlannedArm(whole, mode, dose, attack, self.sampling)

    def with_decoding(self, decoding: Mapping[Mode, Sampling]) -> "ArmPlan":
        """The plan with the values that its sampling means for a model.

        Args:
            decoding: How each mode is decoded.
        """
        return self.model_copy(update={"decoding": dict(decoding)})

    def arms(self, model: Model, thinking: "ModelSwitch") -> dict[str, Arm]:
        """The arms by name.

        Args:
            model: The evaluated model.
            thinking: Its thinking switch.

        Raises:
            RimError: The model cannot be given one of the doses through its provider.
        """
        return {
            arm.name: Arm(
                switch_of_dose(model, thinking, arm.dose) if arm.dose else thinking,
                arm.mode,
                arm.dose,
                arm.attack,
                self.decoding.get(arm.mode),
                self.sampling,
            )
            for arm in self.planned()
        }


def switch_of_dose(model: Model, thinking: "ModelSwitch", dose: Dose) -> "ModelSwitch":
    """The switch by which a dose is asked.

    Args:
        model: The evaluated model.
        thinking: Its own switch.
        dose: The dose.

    Raises:
        RimError: The model cannot be given this dose through its provider.
    """
    from rim_eval.thinking import effort_recipe, forced_empty_recipe

    switch = thinking.switch
    changed: dict[str, Any] = {}
    if dose.effort:
        recipe = effort_recipe(dose.effort)
        changed = {"kind": "effort", "think": recipe, "no_think": recipe}
    elif dose.budget is not None and str(model).partition("/")[0] in _BUDGET_PROVIDERS:
        limited = {"reasoning_effort": None, "reasoning_tokens": dose.budget}
        changed = {"think": switch.think.model_copy(update=limited)}
    elif dose.is_forced_empty or dose.budget is not None or dose.is_continued:
        marks = _known_marks(model, thinking)
        if marks is None:
            raise _cannot_write(model, dose)
        if dose.is_forced_empty:
            changed = {"no_think": forced_empty_recipe(switch.think, marks)}
    elif dose.name == "off" and switch.kind == "forced_empty":
        raise RimError(
            f"{model} always thinks, so there is no dose `off`. Give `forced_empty` in its place, which writes an "
            "empty trace for it."
        )
    return thinking._replace(switch=switch.model_copy(update=changed))


def _known_marks(model: Model, thinking: "ModelSwitch") -> "TraceMarks | None":
    """How the model's traces are marked, where a text can be written after one."""
    from rim_eval.inspect_tasks.calls import can_prefill, marks_of

    if not can_prefill(model, thinking):
        return None
    marks = marks_of(model, thinking, thinking.switch.think)
    return marks if marks and marks.closing else None


def _cannot_write(model: Model, dose: Dose) -> RimError:
    return RimError(
        f"The dose {dose.name} needs a text written after what {model} wrote (its trace closed, or opened again). "
        "The `hf/` provider can do that, and `vllm/` with the chat template at hand (-T chat_template=FILE) and a "
        f"server started with --trust-request-chat-template; {' and '.join(_BUDGET_PROVIDERS)} limit a trace "
        "themselves. Else give doses that the model has itself: -T doses=off,full, or -T doses=effort:low,high."
    )


def is_written_for(model: Model, arm: Arm) -> bool:
    """Whether a text is written after what the model wrote, or in its place.

    Args:
        model: The evaluated model.
        arm: The arm.
    """
    dose = arm.dose
    if dose is None or str(model).partition("/")[0] in _BUDGET_PROVIDERS:
        return False
    return dose.budget is not None or dose.is_continued or dose.is_forced_empty


def begun_arm(model: Model, arm: Arm) -> Arm:
    """An arm that a text is written for, begun with a short trace that is closed.

    Args:
        model: The evaluated model.
        arm: The arm.
    """
    marks = _known_marks(model, arm.switch)
    assert marks is not None  # the dose was refused otherwise
    return _prefilled(arm, marks.opening + "Hm." + marks.closing)


class Asking(NamedTuple):
    """How every arm of one sample is asked."""

    budgets: Budgets
    epoch: int = 1
    served_as: str | None = None
    count_tokens: "TokenCounter | None" = None


def arm_message(prompt: str, facts: Mapping[str, Any], arm: Arm) -> str:
    """The user message of an arm: the prompt, or what the attack made of it.

    Args:
        prompt: The bare user message.
        facts: The sample's metadata.
        arm: The arm.
    """
    text = str(facts[ATTACK_TEXT]) if arm.attack else prompt
    return message_in_arm(text, facts, arm.switch.switch.kind)


def failed_arm(
    model: Model, arm: Arm, message: str, asking: Asking, error: Exception
) -> Generation:
    """What is kept of an arm whose request failed.

    Args:
        model: The evaluated model.
        arm: The arm.
        message: The user message.
        asking: Budgets, epoch and names.
        error: What the provider raised.
    """
    return _call(model, arm, message, asking).request.failed(repr(error))


async def ask_arm(model: Model, arm: Arm, message: str, asking: Asking) -> Generation:
    """The reply of one arm.

    Args:
        model: The evaluated model.
        arm: The arm.
        message: The user message, as `arm_message` gives it.
        asking: Budgets, epoch and names.

    Raises:
        Exception: Whatever the provider raises.
    """
    call = _call(model, arm, message, asking)
    limit = arm.dose.budget if arm.dose and call.config.reasoning_tokens is None else None
    if limit is not None:
        call = call._replace(config=call.config.model_copy(update={"max_tokens": limit}))
    output = await _generate(model, call)
    first = _read(output, call, asking)
    if arm.dose is None or first.error:
        return first
    if limit is not None and _is_cut(first, limit):
        return await _answer_now(model, arm, message, asking, output, first)
    if arm.dose.is_continued and first.trace_closed and first.trace:
        return await _think_on(model, arm, message, asking, first)
    return first


def _is_cut(reply: Generation, limit: int) -> bool:
    if reply.stop_reason == "unknown":
        return (reply.output_tokens or 0) >= limit
    return reply.stop_reason == "max_tokens"


async def _answer_now(
    model: Model, arm: Arm, message: str, asking: Asking, output: "ModelOutput", first: Generation
) -> Generation:
    """Close the trace where the budget cut it, and let the model answer; after its end, let it go on."""
    from rim_eval.inspect_tasks.calls import marks_of, written_parts
    from rim_eval.thinking.budget_forcing import Written

    recipe, limit = arm.switch.switch.think, arm.budgets(asking.budgets).thinking_tokens
    marks = marks_of(model, arm.switch, recipe)
    assert marks is not None  # the dose was refused otherwise
    is_closed = first.trace is None or bool(first.trace_closed)
    written = Written(*written_parts(output), is_closed=is_closed)
    answered = (first.answer_tokens or 0) if is_closed else 0
    room = max(asking.budgets.answer_tokens - answered, 1)
    prefilled = _prefilled(arm, (recipe.prefill or "") + written.continued_answer(marks))
    budgets = Budgets(answer_tokens=room, thinking_tokens=0)
    call = _call(model, prefilled, message, asking._replace(budgets=budgets), is_rest=True)
    call = call._replace(request=call.request._replace(closed_by_prompt=True))
    rest = _read(await _generate(model, call), call, asking)
    tokens = first.trace_tokens if is_closed else first.output_tokens
    return rest.model_copy(
        update={
            "mode": first.mode,
            "trace": first.trace if rest.trace is None else f"{first.trace or ''}\n\n{rest.trace}",
            "visibility": first.visibility,
            "trace_closed": None if first.trace is None else rest.trace_closed is not False,
            "trace_tokens": _sum(tokens, rest.trace_tokens or 0),
            "answer": f"{first.answer}{rest.answer}" if is_closed else rest.answer,
            "answer_tokens": _sum(answered, rest.answer_tokens),
            "output_tokens": _sum(first.output_tokens, rest.output_tokens),
            "closed_at_budget": not is_closed,
            "trace_over_budget": (tokens or 0) + (rest.trace_tokens or 0) > limit,
            "requested": first.requested,
        }
    )


async def _think_on(
    model: Model, arm: Arm, message: str, asking: Asking, first: Generation
) -> Generation:
    """Open the trace again at its end, once."""
    from rim_eval.inspect_tasks.calls import marks_of
    from rim_eval.thinking.budget_forcing import reopened_trace

    recipe, trace = arm.switch.switch.think, first.trace or ""
    room = asking.budgets.thinking_tokens - (first.trace_tokens or 0)
    if room < 1:
        return first
    marks = marks_of(model, arm.switch, recipe)
    assert marks is not None  # the dose was refused otherwise
    prefill = marks.opening + reopened_trace(trace)
    prefilled = _prefilled(arm, (recipe.prefill or "") + prefill, is_open=True)
    budgets = asking.budgets.model_copy(update={"thinking_tokens": room})
    call = _call(model, prefilled, message, asking._replace(budgets=budgets), is_rest=True)
    rest = _read(await _generate(model, call), call, asking)
    return rest.model_copy(
        update={
            "trace": f"{reopened_trace(trace)} {rest.trace or ''}".rstrip(),
            "visibility": "full",
            "trace_tokens": _sum(first.trace_tokens, rest.trace_tokens),
            "output_tokens": _sum(first.output_tokens, rest.output_tokens),
            "trace_over_budget": first.trace_over_budget or rest.trace_over_budget,
            "requested": first.requested,
        }
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _prefilled(arm: Arm, prefill: str, *, is_open: bool = False) -> Arm:
    """The arm with its reply begun."""
    switch = arm.switch.switch
    recipe = switch.recipe(arm.mode).model_copy(
        update={"prefill": prefill, "opened_by_prompt": is_open}
    )
    begun = switch.model_copy(update={"think": recipe, "no_think": recipe})
    return arm._replace(switch=arm.switch._replace(switch=begun))


def _call(model: Model, arm: Arm, message: str, asking: Asking, *, is_rest: bool = False) -> "Call":
    from rim_eval.inspect_tasks.calls import arm_call
    from rim_eval.inspect_tasks.compat import user_errors

    budgets = asking.budgets if is_rest else arm.budgets(asking.budgets)
    with user_errors():
        return arm_call(
            model,
            arm.switch,
            arm.mode,
            message,
            budgets,
            asking.epoch,
            asking.served_as,
            arm.sampling,
            arm.condition,
        )


async def _generate(model: Model, call: "Call") -> "ModelOutput":
    return await model.generate(call.messages, config=call.config, cache=call.cache)


def _read(output: "ModelOutput", call: "Call", asking: Asking) -> Generation:
    from rim_eval.inspect_tasks.calls import read_output

    return read_output(output, call.request, asking.count_tokens)
