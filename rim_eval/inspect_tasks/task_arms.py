"""The solver `task_in_both_modes`: a foreign task's own solver and scorers, once in each mode of one sample.

Each arm is a sample of its own to the foreign task: state, store, sandbox, limits, tools and scores are
apart. Only the evaluated model, its connections and the graders are shared.
"""

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import anyio
from inspect_ai import Task
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, Model, get_model
from inspect_ai.scorer import Scorer, Target
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import (
    Limit,
    LimitExceededError,
    SandboxEnvironmentSpec,
    apply_limits,
    sample_limits,
    span,
    time_limit,
    turn_limit,
    working_limit,
)

from rim_eval.errors import RimError, failure_text
from rim_eval.generation import Generation
from rim_eval.inspect_tasks.compat import (
    NOT_GIVEN,
    PrerequisiteError,
    TerminateSampleError,
    active_generate_config,
    concerns_all_requests,
    gather,
    init_active_model,
    init_scoring_context,
    init_subtask_store,
    limits_of,
    resolve_plan,
    sample_state,
    set_sample_state,
    set_task_generate,
    suspend_store_events,
    task_generate,
    unique_scorer_name,
    user_errors,
)
from rim_eval.inspect_tasks.solver import (
    ArmRunner,
    counter_of,
    messages_of,
    no_reply,
    store_replies,
    stored_replies,
)
from rim_eval.types import MODES, Mode, SamplingProtocol

if TYPE_CHECKING:
    from rim_eval.inspect_tasks.arm_model import ArmModel
    from rim_eval.inspect_tasks.arms import Arm
    from rim_eval.inspect_tasks.task_scores import ScoreReading, TaskScore
    from rim_eval.thinking import OwnValues


@dataclass(frozen=True)
class ForeignTask:
    """A task of Inspect that is run in both modes."""

    name: str
    """Name of its figures' prompt set; also what the log says in its place."""
    task: Task
    samples: Mapping[int | str, Sample]
    """Its samples as they are, by id."""
    sandbox: SandboxEnvironmentSpec | None
    reading: "ScoreReading"
    time_limit: int | None = field(default=None)
    working_limit: int | None = field(default=None)

    @property
    def version(self) -> str:
        """The task's version."""
        return str(self.task.version)


@solver
def task_in_both_modes(
    task: ForeignTask,
    modes: Sequence[Mode] = MODES,
    answer_tokens: int = 2048,
    thinking_tokens: int = 16384,
    switch: str = "auto",
    chat_template: str | None = None,
    served_as: str | None = None,
    sampling: SamplingProtocol = "equal",
    think: dict[str, Any] | None = None,
    no_think: dict[str, Any] | None = None,
) -> Solver:
    """Run a task's own solver and scorers once in each mode.

    Args:
        task: The task.
        modes: Modes to run; both by default.
        answer_tokens: Token budget of each reply's answer, the same in both modes.
        thinking_tokens: Token budget of each reply's trace, on top of it, in think mode.
        switch: `auto`, or the thinking switch in words.
        chat_template: Path of a chat template to read the switch from.
        served_as: Other names by which a server may call the model, separated by commas.
        sampling: Sampling of both modes as the task says (`equal`), or of each as its maker advises.
        think: The user's own sampling of the think mode.
        no_think: The same of the no-think mode.
    """
    from rim_eval.inspect_tasks.arms import ArmPlan
    from rim_eval.inspect_tasks.sampling import decoding_of
    from rim_eval.thinking import protocol_of

    runner = _TaskArmRunner(answer_tokens, thinking_tokens, switch, chat_template, served_as)
    own: OwnValues = {"think": think, "no_think": no_think}
    plan = ArmPlan.of(modes, sampling=protocol_of(sampling, own))

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        model = get_model()
        store_replies(
            state, {mode: no_reply(mode, "switch", {"sampling": plan.sampling}) for mode in modes}
        )
        thinking = await runner.switch(model)
        if "think" in modes:
            await runner.require_adoption(model, thinking)
        arms = runner.arms(model, thinking, plan, lambda: decoding_of(model, sampling, own))
        await runner.run_task(state, model, list(arms.values()), task)
        return state

    return solve


class _TaskArmRunner(ArmRunner):
    """Runs a foreign task in the arms of each sample."""

    async def run_task(
        self,
        state: TaskState,
        model: Model,
        arms: "Sequence[Arm]",
        task: ForeignTask,
    ) -> None:
        """Run all arms at once, and keep what each has as soon as it has it; one that fails loses no other."""
        from rim_eval.inspect_tasks.arm_sandbox import own_sandbox, refuse_other_sandbox

        sample, limits = task.samples[state.sample_id], _take_over_limits(state)
        store_replies(
            state,
            {arm.mode: no_reply(arm.mode, arm.switch.switch.kind, arm.condition) for arm in arms},
        )
        with self.ending_the_run(model):
            await refuse_other_sandbox(task.sandbox, sample)
            runs: list[Coroutine[Any, Any, Exception | None]] = []
            for arm in arms:
                arm_model = self._arm_model(state, model, arm, task)
                run = _ArmRun(task, sample, arm.mode, arm_model, model, state, limits)
                place: AbstractAsyncContextManager[None] = nullcontext()
                if runs:
                    place = own_sandbox(task.name, task.sandbox, sample)
                runs.append(run.run(place))
            with suspend_store_events():
                errors = await gather(*runs)
            replies = stored_replies(state)
            state.messages.extend(
                messages_of({arm.mode: replies[arm.mode] for arm in arms}, str(model))
            )
            for error in filter(None, errors):
                raise error

    def _arm_model(
        self,
        state: TaskState,
        model: Model,
        arm: "Arm",
        task: ForeignTask,
    ) -> "ArmModel":
        from rim_eval.inspect_tasks.arm_model import ArmModel, ArmSettings

        def keep(reply: Generation) -> None:
            if reply.error is None:
                self._state(model).has_replied = True
            store_replies(state, {arm.mode: reply})

        settings = ArmSettings(
            budgets=self._budgets,
            epoch=state.epoch,
            served_as=self._served_as,
            stop_seqs=tuple(task.task.config.stop_seqs or ()),
            keeps_marked_text=task.reading.reads == "correct",
        )
        return ArmModel(model, arm, settings, counter_of(state, model), keep)


class _Limits(dict[str, Any]):
    """Limits of the sample, which hold for each arm."""


def _take_over_limits(state: TaskState) -> _Limits:
    """Lift the sample's limits on messages, tokens, turns and cost: they would count all arms together."""
    turns = cast(Any, sample_limits().turn)
    limits = _Limits(
        message_limit=state.message_limit,
        token_limit=state.token_limit,
        token_limit_type=state.token_limit_type,
        cost_limit=state.cost_limit,
        turn_limit=turns.limit,
    )
    state.message_limit = state.token_limit = state.cost_limit = turns.limit = None
    return limits


@dataclass
class _ArmRun:
    """One mode of one sample."""

    task: ForeignTask
    sample: Sample
    mode: Mode
    arm_model: "ArmModel"
    model: Model
    outer: TaskState
    limits: _Limits

    async def run(self, place: AbstractAsyncContextManager[None]) -> Exception | None:
        """Solve and score in a place of its own; an error is kept with the replies so far, and given back."""
        async with span(self.mode):
            try:
                async with place:
                    await self._solve_and_score()
                    return None
            except Exception as error:
                self._fail(error)
                return error

    def _fail(self, error: Exception) -> None:
        reply = stored_replies(self.outer)[self.mode]
        update = {"error": repr(error), "stop_reason": "error"}
        store_replies(self.outer, {self.mode: reply.model_copy(update=update)})

    async def _solve_and_score(self) -> None:
        state = self._state()
        try:
            with user_errors():
                state, limit = await self._solve(state)
            scores = await self._score(state)
        finally:
            if self.task.task.cleanup is not None:
                with anyio.CancelScope(shield=True):
                    await self.task.task.cleanup(state)
        self._keep(scores, limit)

    def _state(self) -> TaskState:
        """A sample of the foreign task's own, in this arm's context."""
        outer, limits = self.outer, self.limits
        state = TaskState(
            model=outer.model,
            sample_id=outer.sample_id,
            epoch=outer.epoch,
            input=deepcopy(outer.input),
            messages=deepcopy(list(outer.messages)),
            target=deepcopy(outer.target),
            choices=deepcopy(self.sample.choices),
            message_limit=limits["message_limit"],
            token_limit=limits["token_limit"],
            token_limit_type=limits["token_limit_type"],
            cost_limit=limits["cost_limit"],
            metadata=deepcopy(self.sample.metadata or {}),
            sample_uuid=outer.uuid,
        )
        # `replacing` something else than the sample's own state, which the viewer goes on showing.
        set_sample_state(state, replacing=state)
        init_subtask_store(state.store)
        init_scoring_context(list(self.task.task.scorer or []), state.target)
        return state

    async def _solve(self, state: TaskState) -> tuple[TaskState, str | None]:
        """Run the task's setup and solver; also which limit ended them, if one did."""
        task = self.task
        generate = self._generate()
        set_task_generate(generate)
        init_active_model(self.arm_model, active_generate_config())
        limits: list[Limit] = [
            *limits_of(state),
            turn_limit(self.limits["turn_limit"]),
            time_limit(task.time_limit),
            working_limit(task.working_limit),
        ]
        ended_by: str | None = None
        with apply_limits(limits, catch_errors=True) as scope:
            try:
                state = await resolve_plan(task.task, None)(state, generate)
            except TerminateSampleError:
                ended_by = "operator"
        if scope.limit_error is not None:
            ended_by = scope.limit_error.type
        return (sample_state() or state) if ended_by else state, ended_by

    def _generate(self) -> Generate:
        async def generate(state: TaskState, tool_calls: Any = "loop", **options: Any) -> TaskState:
            cache = options.pop("cache", False) or NOT_GIVEN
            config = active_generate_config().merge(GenerateConfig(**options))
            return await task_generate(self.arm_model, state, tool_calls, cache, config)

        return cast(Generate, generate)

    async def _score(self, state: TaskState) -> "dict[str, TaskScore]":
        """The scores of the task's scorers, asked as if the sample were done; no scorer reads with a mode."""
        from rim_eval.inspect_tasks.task_scores import TaskScore

        init_active_model(self.model, active_generate_config())
        state.completed = True
        set_sample_state(state, replacing=state)
        scores = {name: TaskScore.of(score) for name, score in (state.scores or {}).items()}
        limit = self.task.time_limit
        with time_limit(limit / 2 if limit else None):  # as Inspect does
            for scorer in self.task.task.scorer or []:
                name = unique_scorer_name(scorer, list(scores))
                async with span(name=name, type="scorer"):
                    score = await _one_score(scorer, state)
                if score is not None:
                    scores[name] = score
        return scores

    def _keep(self, scores: "Mapping[str, TaskScore]", limit: str | None) -> None:
        """Keep an arm's scores and why they may not be read; its score must be one that the rule is for."""
        from rim_eval.inspect_tasks.task_scores import ArmScores, keep_arm
        from rim_eval.judging import unscored_reason

        if not self.arm_model.replies:
            raise RuntimeError(
                f"the solver of {self.task.name} never asked the evaluated model in {self.mode} mode"
            )
        reason = unscored_reason(self.arm_model.replies[-1])
        if reason is None and any(reply.other_model for reply in self.arm_model.replies):
            reason = "other_model"
        calls = len(self.arm_model.replies)
        arm = ArmScores(scores=dict(scores), reason=reason, limit=limit, calls=calls)
        keep_arm(self.outer, self.mode, arm)
        if reason is None:
            with user_errors():
                reading = self.task.reading
                reading.verdict(scores.get(reading.scorer), self.task.version, None)


async def _one_score(scorer: Scorer, state: TaskState) -> "TaskScore | None":
    """What one scorer says; what fails at this reply alone is kept as its failure."""
    from rim_eval.inspect_tasks.task_scores import TaskScore

    try:
        score = await scorer(state, Target(state.target.target))
    except (PrerequisiteError, RimError, LimitExceededError):
        raise
    except Exception as error:
        if concerns_all_requests(error):
            raise
        return TaskScore(error=failure_text(error))
    return None if score is None else TaskScore.of(score)
