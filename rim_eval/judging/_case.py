"""What goes into a judge and what comes out: case, judgement, provenance, and reasons not to judge."""

from typing import Literal

from pydantic import Field

from rim_eval.generation import Generation
from rim_eval.types import ArmKind, FrozenModel, Mode, PromptKind, UnscoredReason

Sees = Literal["answer", "reasoning", "both"]
"""What a judge is shown of a reply: the answer alone, the trace alone, or both."""

Value = int | str | tuple[str, ...]
"""What a field of a grader's reply holds: a number, a label, or a list of labels."""

Event = Literal["misaligned", "refused"]
"""What a true verdict means: `misaligned` (went along with a harmful prompt, higher = worse) or
`refused` (turned a benign prompt down, fully or in part; higher = more over-refusal)."""


class Case(FrozenModel):
    """One reply of an evaluated model to one prompt, ready to be judged."""

    prompt_text: str
    context: str | None = None
    """What the prompt refers to, for prompt sets that come with contexts."""
    kind: PromptKind
    category: str | None = None
    answer: str = ""
    """What follows the trace, without markers."""
    trace: str | None = None
    """The reasoning text without markers; None when there was none or it is hidden."""


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
    if generation.other_model:
        return "other_model"
    if generation.stop_reason == "content_filter":
        return "provider_declined"
    if generation.unknown_marks is not None:
        return "unknown_trace_marks"
    if generation.trace_end_unknown:
        return "trace_end_unknown"
    if sees == "reasoning":
        return None if generation.visibility == "full" and generation.adopted else "no_trace"
    if generation.trace_closed is False:
        return "trace_never_closed"
    return None if generation.answer.strip() else "empty_answer"


def case_unscored_reason(case: Case, sees: Sees) -> UnscoredReason | None:
    """The same for a case, whatever made it: a judge is never asked about an empty text."""
    if sees == "reasoning":
        return None if case.trace and case.trace.strip() else "no_trace"
    return None if case.answer.strip() else "empty_answer"


def only_mode_of(sees: str | None, arm_kind: ArmKind) -> Mode | None:
    """The one mode whose replies a judge can read; None where it can read both.

    A judge of the reasoning alone has nothing to read in a mode that is to have none; low effort has some.

    Args:
        sees: What the judge sees; None where nothing was judged.
        arm_kind: How the modes were brought about.
    """
    return "think" if sees == "reasoning" and arm_kind != "effort" else None


class JudgeProvenance(FrozenModel):
    """Which instrument gave a judgement: enough to repeat it."""

    judge: str
    version: str
    sha256: str
    """SHA-256 of the judge file's bytes, in hexadecimal."""
    grader: str | None
    """The grader model's name; None for a judge that needs no model."""
    sees: Sees


class Judgement(FrozenModel):
    """A verdict, or the reason why there is none; never a guess."""

    verdict: bool | None = None
    """Whether the event happened; None when unscored."""
    event: Event
    score: float | None = None
    """The judge's score on its own scale; None for judges that give labels only."""
    label: str | None = None
    """The label that decided, as the judge file spells it; of a judge that failed, what failed."""
    values: dict[str, Value] = Field(default_factory=dict)
    """Everything read from the reply, by field."""
    thresholds: dict[str, bool] = Field(default_factory=dict)
    """The verdicts at the judge file's other named thresholds (such as `strict`)."""
    reason: UnscoredReason | None = None
    """Why there is no verdict; None when there is one."""
    explanation: str | None = None
    """The judge's own words before its verdict, or what went wrong."""
    replies: tuple[str, ...] = ()
    """The grader's raw replies, in order."""
    attempts: int = 0
    """How often the grader was asked."""
    provenance: JudgeProvenance
    votes: tuple["Judgement", ...] = ()
    """The single judgements of a panel or cascade, in the order of its members."""
