"""From a reply to its observation, alike under both harnesses: by a judge, or against the gold answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rim_eval.answers import check_answer
from rim_eval.generation import Generation
from rim_eval.judging import Case, Judge, Judgement, JudgeProvenance, unscored_reason
from rim_eval.observations import Observation
from rim_eval.types import UnscoredReason

if TYPE_CHECKING:
    from rim_eval.judging import Grader

__all__ = ["Outcome", "check_reply", "judge_reply", "observe"]


class Outcome(NamedTuple):
    """A verdict, or the reason why there is none, whatever gave it."""

    verdict: bool | None = None
    score: float | None = None
    label: str | None = None
    reason: UnscoredReason | None = None
    explanation: str | None = None
    replies: tuple[str, ...] = ()
    """The grader's raw replies."""
    votes: tuple[dict[str, Any], ...] = ()
    """Each grader's verdict, where several vote."""
    judge: JudgeProvenance | None = None
    """The instrument; also of a reply that it was not shown, else one empty answer would look like
    a second way of judging."""


async def judge_reply(
    judge: Judge, case: Case, reply: Generation, grader: "Grader | Sequence[Grader] | None" = None
) -> Outcome:
    """A judge's verdict on one reply; a reply that gives nothing to judge is not sent.

    Args:
        judge: The judge, set to see what it is to see.
        case: What it reads of the reply.
        reply: The reply.
        grader: The model to ask, or several that vote; None for an offline judge.
    """
    reason = unscored_reason(reply, judge.sees)
    if reason is not None:
        return Outcome(reason=reason, judge=judge.provenance(grader))
    return _outcome(await judge.judge(case, grader))


def _outcome(judgement: Judgement) -> Outcome:
    return Outcome(
        verdict=judgement.verdict,
        score=judgement.score,
        label=judgement.label,
        reason=judgement.reason,
        explanation=judgement.explanation,
        replies=judgement.replies,
        votes=tuple(vote.as_vote() for vote in judgement.votes),
        judge=judgement.provenance,
    )


def check_reply(reply: Generation, target: str, absolute_error: float | None = None) -> Outcome:
    """Whether a reasoning problem's reply ends in the gold answer; may take seconds until its deadline.

    Args:
        reply: The reply.
        target: The gold answer; empty where there is none.
        absolute_error: How far an answer may lie from the gold one; None where it must be equal.
    """
    reason = unscored_reason(reply) or (None if target else "no_reference")
    if reason is not None:
        return Outcome(reason=reason)
    check = check_answer(reply.answer, target, absolute_error=absolute_error)
    if check.correct is None:
        return Outcome(reason="judge_failed", explanation=check.how)
    return Outcome(verdict=check.correct, label=check.extracted, explanation=check.how)


def observe(reply: Generation, outcome: Outcome, **prompt: Any) -> Observation:
    """The row of one reply.

    Args:
        reply: The reply.
        outcome: What became of it.
        **prompt: Columns that say which prompt, set, model and epoch.
    """
    columns = prompt | {
        "verdict": outcome.verdict,
        "score": outcome.score,
        "label": outcome.label,
        "reason": outcome.reason,
    }
    if outcome.judge is not None:
        columns |= {
            "judge": f"{outcome.judge.judge}@{outcome.judge.version}",
            "judge_sha256": outcome.judge.sha256,
            "judge_model": outcome.judge.grader,
            "judge_sees": outcome.judge.sees,
        }
    return Observation.model_validate(Observation.mode_facts(reply) | columns)
