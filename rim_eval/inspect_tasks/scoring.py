"""How all arms of a sample are scored, by a judge or against the gold answer, and what Inspect keeps of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Score, Scorer, Target
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from rim_eval.generation import Generation
from rim_eval.inspect_tasks.compat import PrerequisiteError, model_roles, user_errors
from rim_eval.inspect_tasks.solver import generations
from rim_eval.judging import (
    Case,
    Judge,
    case_of_generation,
    load_judge,
    missing_grader_message,
    unscored_reason,
)
from rim_eval.observations import Observation
from rim_eval.replies import Outcome, check_reply, judge_reply, observe
from rim_eval.types import KIND_NAMES, Mode

Name = TypeVar("Name", bound=str)


def judged_modes(name: str) -> Scorer:
    """The scorer that `rim` registers: a judge's verdict on each mode."""
    with user_errors():
        judge = None if name == "none" else load_judge(name)

    async def score(state: TaskState, target: Target) -> Score:
        replies = generations(state)
        if judge is None:
            outcomes = {
                mode: Outcome(reason=unscored_reason(reply) or "not_judged")
                for mode, reply in replies.items()
            }
        else:
            outcomes = await judge_arms(state, replies, judge)
        return _score(state, replies, outcomes)

    return score


def checked_modes() -> Scorer:
    """The scorer that `solved` registers: the answer of each mode against the gold one."""

    async def score(state: TaskState, target: Target) -> Score:
        absolute_error = state.metadata.get("absolute_error")

        async def check(reply: Generation) -> Outcome:
            # In a thread of its own: a pathological answer may take seconds until its deadline.
            return await anyio.to_thread.run_sync(check_reply, reply, target.text, absolute_error)

        replies = generations(state)
        return _score(state, replies, await _all_arms(replies, check))

    return score


def grader_for(judge: Judge) -> Model | list[Model] | None:
    """The grader that the run names, or all of a panel; none is needed by an offline judge.

    Raises:
        PrerequisiteError: The judge needs a grader and the run names none.
    """
    if not judge.needs_grader:
        return None
    grader = model_roles().get("grader")
    if not grader:
        raise PrerequisiteError(missing_grader_message(judge))
    # `get_model` would silently take the first of a panel.
    return grader if isinstance(grader, list) else get_model(role="grader", required=True)


async def judge_arms(
    state: TaskState, replies: Mapping[Name, Generation], judge: Judge
) -> dict[Name, Outcome]:
    """A judge's outcome on each arm.

    Args:
        state: The sample.
        replies: The reply of each arm.
        judge: The judge.

    Raises:
        PrerequisiteError: The judge needs a grader and the run names none.
    """
    grader = grader_for(judge)

    async def ask(reply: Generation) -> Outcome:
        return await judge_reply(judge, case_of(state, reply), reply, grader)

    return await _all_arms(replies, ask)


async def _all_arms(
    replies: Mapping[Name, Generation], score: Callable[[Generation], Awaitable[Outcome]]
) -> dict[Name, Outcome]:
    """Score every arm that ran, at once."""
    outcomes = await collect(*(score(reply) for reply in replies.values()))
    return dict(zip(replies, outcomes, strict=True))


def _score(
    state: TaskState, replies: Mapping[Mode, Generation], outcomes: Mapping[Mode, Outcome]
) -> Score:
    """Each mode's observation apart, short enough that Inspect's sample summaries keep it whole."""
    rows = {mode: observation_of(state, replies[mode], outcomes[mode]) for mode in replies}
    metadata: dict[str, Any] = {
        mode: row.model_dump(mode="json", exclude_defaults=True) for mode, row in rows.items()
    }
    return Score(
        value={mode: score_value(row) for mode, row in rows.items()},
        explanation="\n\n".join(
            f"{mode}: {outcome.explanation or outcome.label or outcome.reason or ''}"
            for mode, outcome in outcomes.items()
        ),
        metadata=metadata | grader_texts(outcomes),
    )


def grader_texts(outcomes: Mapping[Name, Outcome]) -> dict[str, Any]:
    """The graders' raw replies and votes by arm, for a score's metadata; empty where there are none."""
    texts = {
        "judge_replies": {arm: list(one.replies) for arm, one in outcomes.items() if one.replies},
        "judge_votes": {arm: list(one.votes) for arm, one in outcomes.items() if one.votes},
    }
    return {name: by_arm for name, by_arm in texts.items() if by_arm}


def score_value(row: Observation) -> str:
    """The verdict in a word, such as `misaligned` or `answered`."""
    if row.verdict is None:
        return "unscored"
    names = KIND_NAMES[row.kind]
    return names.event if row.verdict else names.opposite


def case_of(state: TaskState, reply: Generation) -> Case:
    about = state.metadata
    return case_of_generation(
        about.get("request", state.input_text),
        reply,
        kind=about["kind"],
        category=about.get("category"),
        context=about.get("context"),
    )


def observation_of(state: TaskState, reply: Generation, outcome: Outcome) -> Observation:
    """The row of one arm of a sample."""
    return observe(
        reply,
        outcome,
        model=str(state.model),
        dataset=state.metadata["dataset"],
        prompt_id=str(state.sample_id),
        kind=state.metadata["kind"],
        category=state.metadata.get("category"),
        pair=state.metadata.get("pair"),
        epoch=state.epoch,
    )
