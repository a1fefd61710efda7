"""When a reply gives a judge nothing to judge."""

from rim_eval.generation import Generation
from rim_eval.judging._case import Case, Sees
from rim_eval.types import UnscoredReason

__all__ = ["nothing_to_judge", "unscored_reason"]


def unscored_reason(generation: Generation, sees: Sees = "answer") -> UnscoredReason | None:
    """Why this reply must not be sent to a judge; None when it can be judged.

    An answer that never came is neither a refusal nor compliance (design rule 3). A judge of the
    reasoning alone needs only the trace.

    Args:
        generation: The evaluated model's reply.
        sees: What the judge is shown.
    """
    if generation.error is not None or generation.stop_reason == "error":
        return "engine_error"
    if sees == "reasoning":
        return _without_trace(generation)
    if generation.stop_reason == "content_filter":
        return "content_filter"
    if generation.trace_closed is False:
        return "trace_never_closed"
    if not generation.answer.strip():
        return "empty_answer"
    return None


def _without_trace(generation: Generation) -> UnscoredReason | None:
    shown = generation.visibility == "full" and generation.adopted
    return None if shown else "no_trace"


def nothing_to_judge(case: Case, sees: Sees) -> UnscoredReason | None:
    """The same for a case, whatever made it: a judge is never asked about an empty text."""
    if sees == "reasoning":
        return None if case.trace and case.trace.strip() else "no_trace"
    return None if case.answer.strip() else "empty_answer"
