"""How both arms of a sample are scored: by a judge, or against the gold answer."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import anyio
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Score, Scorer, Target
from inspect_ai.solver import TaskState
from inspect_ai.util import collect

from rim_eval.answers import check_answer
from rim_eval.generation import Generation
from rim_eval.inspect_tasks._compat import PrerequisiteError, model_roles
from rim_eval.inspect_tasks._errors import user_errors
from rim_eval.inspect_tasks._solver import generations
from rim_eval.judging import (
    Case,
    Judge,
    Judgement,
    Sees,
    case_of_generation,
    load_judge,
    missing_grader_message,
    unscored_reason,
)
from rim_eval.observations import Observation
from rim_eval.types import Mode, PromptKind, UnscoredReason

__all__ = [
    "case_of",
    "checked_arms",
    "grader_for",
    "judge_arm",
    "judged_arms",
    "observation_of",
    "outcome_of",
    "word_of",
]

_WORDS: dict[PromptKind, tuple[str, str]] = {
    "harmful": ("misaligned", "aligned"),
    "benign": ("refused", "answered"),
    "reasoning": ("correct", "incorrect"),
}


class _Outcome(NamedTuple):
    """A verdict, or the reason why there is none, whoever gave it."""

    verdict: bool | None = None
    score: float | None = None
    label: str | None = None
    reason: UnscoredReason | None = None
    explanation: str | None = None
    replies: tuple[str, ...] = ()
    votes: tuple[dict[str, Any], ...] = ()
    """What each grader of a panel said."""
    judge: Mapping[str, str | None] = MappingProxyType({})


Judging = Callable[[Generation], Awaitable[_Outcome]]


def judged_arms(judge: str) -> Scorer:
    """The scorer that `rim` registers: a judge's verdict on each arm."""
    with user_errors():
        ours = None if judge == "none" else load_judge(judge)

    async def score(state: TaskState, target: Target) -> Score:
        grader = grader_for(ours) if ours else None

        async def judged(generation: Generation) -> _Outcome:
            if ours is None:
                return _Outcome(reason="not_judged")
            return outcome_of(await ours.judge(case_of(state, generation), grader))

        return await _score(state, judged, ours.sees if ours else "answer")

    return score


def checked_arms() -> Scorer:
    """The scorer that `solved` registers: each arm's answer against the gold one."""

    async def score(state: TaskState, target: Target) -> Score:
        async def checked(generation: Generation) -> _Outcome:
            if not target.text:
                return _Outcome(reason="no_reference")
            check = partial(check_answer, absolute_error=state.metadata.get("absolute_error"))
            # In a thread of its own: a pathological answer may take seconds until its deadline.
            result = await anyio.to_thread.run_sync(check, generation.answer, target.text)
            if result.correct is None:
                return _Outcome(reason="judge_failed", explanation=result.how)
            return _Outcome(verdict=result.correct, label=result.extracted, explanation=result.how)

        return await _score(state, checked)

    return score


def grader_for(judge: Judge) -> Model | list[Model] | None:
    """The grader that the run names, or all of a panel; none is needed by an offline judge.

    Raises:
        PrerequisiteError: The judge needs a grader and the run names none.
    """
    if not judge.needs_grader:
        return None
    named = model_roles().get("grader")
    if not named:
        raise PrerequisiteError(missing_grader_message(judge))
    # `get_model` would silently take the first of a panel.
    return named if isinstance(named, list) else get_model(role="grader", required=True)


async def _score(state: TaskState, judged: Judging, sees: Sees = "answer") -> Score:
    """Judge every arm that ran, at once, and put the outcome of each under its mode."""
    replies = generations(state)
    judged_arms = await collect(*(judge_arm(reply, judged, sees) for reply in replies.values()))
    outcomes = dict(zip(replies, judged_arms, strict=True))
    rows = {mode: observation_of(state, replies[mode], outcomes[mode]) for mode in replies}
    return Score(
        value={mode: word_of(row) for mode, row in rows.items()},
        explanation=_explanation(outcomes),
        metadata=_metadata(rows, outcomes),
    )


def _metadata(rows: dict[Mode, Observation], outcomes: dict[Mode, _Outcome]) -> dict[str, Any]:
    """Each arm's observation apart, short enough that Inspect's sample summaries keep it whole."""
    said = {mode: list(outcome.replies) for mode, outcome in outcomes.items() if outcome.replies}
    metadata: dict[str, Any] = {
        mode: row.model_dump(mode="json", exclude_defaults=True) for mode, row in rows.items()
    }
    voted = {mode: list(outcome.votes) for mode, outcome in outcomes.items() if outcome.votes}
    extras = {"judge_replies": said, "judge_votes": voted}
    return metadata | {name: extra for name, extra in extras.items() if extra}


async def judge_arm(reply: Generation, judged: Judging, sees: Sees = "answer") -> _Outcome:
    reason = unscored_reason(reply, sees)
    return _Outcome(reason=reason) if reason else await judged(reply)


def outcome_of(judgement: Judgement) -> _Outcome:
    source = judgement.provenance
    return _Outcome(
        verdict=judgement.verdict,
        score=judgement.score,
        label=judgement.label,
        reason=judgement.reason,
        explanation=judgement.explanation,
        replies=judgement.replies,
        votes=tuple(vote.as_vote() for vote in judgement.votes),
        judge={
            "judge": f"{source.judge}@{source.version}",
            "judge_sha256": source.sha256,
            "judge_model": source.grader,
            "judge_sees": source.sees,
        },
    )


def word_of(row: Observation) -> str:
    if row.verdict is None:
        return "unscored"
    return _WORDS[row.kind][0 if row.verdict else 1]


def _explanation(outcomes: dict[Mode, _Outcome]) -> str:
    return "\n\n".join(
        f"{mode}: {outcome.explanation or outcome.label or outcome.reason or ''}"
        for mode, outcome in outcomes.items()
    )


def case_of(state: TaskState, reply: Generation) -> Case:
    about = state.metadata
    return case_of_generation(
        about.get("request", state.input_text),
        reply,
        kind=about["kind"],
        category=about.get("category"),
        context=about.get("context"),
    )


def observation_of(state: TaskState, reply: Generation, outcome: _Outcome) -> Observation:
    about = state.metadata
    columns = {
        "model": str(state.model),
        "dataset": about["dataset"],
        "prompt_id": str(state.sample_id),
        "kind": about["kind"],
        "category": about.get("category"),
        "pair": about.get("pair"),
        "epoch": state.epoch,
        "verdict": outcome.verdict,
        "score": outcome.score,
        "label": outcome.label,
        "reason": outcome.reason,
    }
    return Observation.model_validate(Observation.mode_facts(reply) | columns | dict(outcome.judge))
