"""How all arms of a sample are scored, by a judge or against the gold answer, and what Inspect keeps of it."""

from collections.abc import Awaitable, Mapping
from contextlib import nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio
from inspect_ai import score
from inspect_ai.model import Model, get_model
from inspect_ai.scorer import Score, Scorer, Target
from inspect_ai.solver import TaskState
from inspect_ai.util import span

from rim_eval.generation import Generation
from rim_eval.inspect_tasks.compat import PrerequisiteError, gather, model_roles, user_errors
from rim_eval.inspect_tasks.solver import model_of, stored_replies
from rim_eval.inspect_tasks.viewer import answer_line, score_values, side_by_side
from rim_eval.judging import Judge, counted, load_judge, unscored_reason
from rim_eval.observations import Observation, rows_of_score
from rim_eval.progress import Progress
from rim_eval.replies import ReplyVerdict, check_reply, judge_reply, observe
from rim_eval.types import MODES, FrozenModel, PromptKind

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalScore


class FigureNames(FrozenModel):
    """What the names of a task's figures depend on: its set and judge, never the sample that was drawn."""

    kinds: tuple[PromptKind, ...]
    thresholds: bool = False
    """Whether the judge scores from 1 to 5, so that there are figures under stricter lines too."""


def judged_modes(name: str) -> Scorer:
    """The scorer that `rim` registers: a judge's verdict on each mode."""
    with user_errors():
        judge = None if name == "none" else load_judge(name)

    async def score(state: TaskState, target: Target) -> Score:
        replies = stored_replies(state)
        if judge is not None:
            _refuse_waiting(state)
            verdicts = await judge_arms(state, replies, judge)
            return score_of_arms(state, replies, verdicts, thresholds=judge.scale == (1, 5))
        reasons = {arm: unscored_reason(reply) for arm, reply in replies.items()}
        verdicts = {arm: ReplyVerdict(reason=reasons[arm] or "not_judged") for arm in replies}
        return score_of_arms(state, replies, verdicts)

    return score


def _refuse_waiting(state: TaskState) -> None:
    """Refuse to append scores to those of `judge=none`, which every viewer would go on showing first."""
    if any(map(_is_waiting, (state.scores or {}).values())):
        raise PrerequisiteError(
            "The scores of this log wait for a judge (judge=none). Put the judge's in their place, or viewers go on "
            "showing the old ones first: inspect score LOG --action overwrite ..."
        )


def _is_waiting(score: Score) -> bool:
    return any(row.reason == "not_judged" for row in rows_of_score(score.metadata))


def checked_modes() -> Scorer:
    """The scorer that `solved` registers: the answer of each mode against the gold one."""

    async def score(state: TaskState, target: Target) -> Score:
        absolute_error = state.metadata.get("absolute_error")

        async def check(reply: Generation) -> ReplyVerdict:
            # In a thread of its own: a pathological answer may take seconds until its deadline.
            return await anyio.to_thread.run_sync(check_reply, reply, target.text, absolute_error)

        replies = stored_replies(state)
        checks = {arm: check(reply) for arm, reply in replies.items()}
        return score_of_arms(state, replies, await _all_arms(checks))

    return score


def grader_for(judge: Judge, data: Path | None = None) -> Model | list[Model] | None:
    """The grader that the run names, or all of a panel; none is needed by a judge that asks no model.

    Args:
        judge: The judge, which is prepared.
        data: The data folder with publishers' prompts; else that of `RIM_EVAL_DATA`.

    Raises:
        PrerequisiteError: The judge cannot be asked so, as `Judge.prepare` says.
    """
    named = model_roles().get("grader") if judge.needs_grader else None
    # `get_model` would silently take the first of a panel.
    grader = (
        get_model(role="grader", required=True) if named and not isinstance(named, list) else named
    )
    with user_errors():
        judge.prepare(grader, data)
    return grader


async def judge_arms(
    state: TaskState, replies: Mapping[str, Generation], judge: Judge
) -> dict[str, ReplyVerdict]:
    """A judge's verdict on each arm; what graders are asked stands in a span with the arm's name.

    Args:
        state: The sample.
        replies: The reply of each arm.
        judge: The judge.

    Raises:
        PrerequisiteError: The judge needs a grader and the run names none.
    """
    grader = grader_for(judge)

    async def verdict(arm: str, reply: Generation) -> ReplyVerdict:
        async with span(arm) if grader else nullcontext():
            return await judge_reply(judge, state.metadata, reply, grader)

    return await _all_arms({arm: verdict(arm, reply) for arm, reply in replies.items()})


def score_again(
    log: "EvalLog",
    scorer: Scorer,
    grader: Model | list[Model] | None,
    action: Literal["append", "overwrite"] = "append",
    progress: Progress | None = None,
) -> "EvalLog":
    """Score a finished log, in place and without the model that was evaluated.

    Scores that wait for a judge (`judge=none`) always give way: the new ones stand first.

    Args:
        log: A log with its samples.
        scorer: The scorer.
        grader: The models to ask; None, or an empty list, for an offline scorer.
        action: Whether the new scores stand beside the old ones or replace them.
        progress: Where samples are counted.
    """
    others = _take_out_waiting(log) if action == "append" else []
    roles: dict[str, Any] = {"grader": grader} if grader else {}
    # The header's roles would be built again, and with them the old grader's weights.
    header_roles, log.eval.model_roles = log.eval.model_roles, None
    try:
        log = score(
            log,
            _counting(scorer, progress),
            model=get_model("none/none"),
            model_roles=roles,
            action=action,
            display="none",
            copy=False,
        )
    except ExceptionGroup as group:
        raise _first_error(group) from None
    log.eval.model_roles = header_roles
    if log.results is not None:
        log.results.scores += others
    return log


def _counting(scorer: Scorer, progress: Progress | None) -> Scorer:
    """The same scorer, also by its name in logs, that counts each sample."""

    @wraps(scorer)
    async def score(state: TaskState, target: Target) -> Score | None:
        return await counted(scorer(state, target), progress)

    return score


def _first_error(group: BaseException) -> BaseException:
    """The error that ended a group of samples; its own message is the one for the user."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _take_out_waiting(log: "EvalLog") -> "list[EvalScore]":
    """Take the scores of `judge=none` out of a log, and the results of others, which follow the judge's."""
    waiting = {
        name
        for sample in log.samples or []
        for name, score in (sample.scores or {}).items()
        if _is_waiting(score)
    }
    if not waiting or log.results is None:
        return []
    for sample in log.samples or []:
        sample.scores = {n: s for n, s in (sample.scores or {}).items() if n not in waiting}
    log.eval.scorers = [
        each for each in log.eval.scorers or [] if (each.options or {}).get("judge") != "none"
    ]
    others = [each for each in log.results.scores if each.name not in waiting]
    log.results.scores = []
    return others


async def _all_arms(verdicts: Mapping[str, Awaitable[ReplyVerdict]]) -> dict[str, ReplyVerdict]:
    """Score every arm that ran, at once."""
    return dict(zip(verdicts, await gather(*verdicts.values()), strict=True))


def score_of_arms(
    state: TaskState,
    replies: Mapping[str, Generation],
    verdicts: Mapping[str, ReplyVerdict],
    *,
    thresholds: bool = False,
) -> Score:
    """Each arm's observation apart, short enough that Inspect's sample summaries keep it whole."""
    rows = {arm: observation_of(state, replies[arm], verdicts[arm]) for arm in replies}
    metadata: dict[str, Any] = {
        arm: row.model_dump(mode="json", exclude_defaults=True) for arm, row in rows.items()
    }
    kinds = tuple(state.metadata.get("kinds") or [state.metadata["kind"]])
    if list(rows) != [mode for mode in MODES if mode in rows]:
        metadata["arms"] = list(rows)
    metadata["names"] = FigureNames(kinds=kinds, thresholds=thresholds).model_dump(mode="json")
    judged = (
        f"{arm}: {verdict.explanation or verdict.label or verdict.reason or ''}"
        for arm, verdict in verdicts.items()
    )
    return Score(
        value=score_values(rows, grades=thresholds),
        answer=answer_line(replies),
        explanation="\n\n".join([side_by_side(rows, replies), *judged]),
        metadata=metadata | grader_texts(verdicts),
    )


def grader_texts(verdicts: Mapping[str, ReplyVerdict]) -> dict[str, Any]:
    """The graders' raw replies and votes by arm, for a score's metadata; empty where there are none."""
    texts = {
        "judge_replies": {arm: list(one.replies) for arm, one in verdicts.items() if one.replies},
        "judge_votes": {arm: list(one.votes) for arm, one in verdicts.items() if one.votes},
    }
    return {name: by_arm for name, by_arm in texts.items() if by_arm}


def observation_of(state: TaskState, reply: Generation, verdict: ReplyVerdict) -> Observation:
    """The row of one arm of a sample."""
    columns = {"model": model_of(state), "prompt_id": str(state.sample_id), "epoch": state.epoch}
    return observe(reply, verdict, state.metadata, **columns)
