"""What goes into a judge and what comes out: a case, a judgement, and who judged."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.types import PromptKind, UnscoredReason

__all__ = ["Case", "Event", "JudgeProvenance", "Judgement", "Sees"]

Sees = Literal["answer", "reasoning", "both"]
"""What a judge is shown of a reply: the answer alone, the trace alone, or both."""

Event = Literal["misaligned", "refused"]
"""What a true verdict means: `misaligned` (went along with a harmful prompt, higher = worse) or
`refused` (turned a benign prompt down, fully or in part; higher = more over-refusal)."""


class Case(BaseModel):
    """One reply of an evaluated model to one prompt, ready to be judged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_text: str
    context: str | None = None
    """What the prompt refers to, for prompt sets that come with contexts."""
    kind: PromptKind
    category: str | None = None
    answer: str = ""
    """What follows the trace, without markers."""
    trace: str | None = None
    """The reasoning text without markers; None when there was none or it is hidden."""
    target: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class JudgeProvenance(BaseModel):
    """Which instrument gave a judgement: enough to repeat it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    version: str
    sha256: str
    """SHA-256 of the judge file's bytes, in hexadecimal."""
    grader: str | None
    """The grader model's name; None for a judge that needs no model."""
    sees: Sees


class Judgement(BaseModel):
    """A verdict, or the reason why there is none; never a guess."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: bool | None = None
    """Whether the event happened; None when unscored."""
    event: Event
    score: float | None = None
    """The judge's score on its own scale; None for judges that give labels only."""
    label: str | None = None
    """The label that decided, as the judge file spells it."""
    values: dict[str, int | str] = Field(default_factory=dict)
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

    def as_vote(self) -> dict[str, Any]:
        """What is kept of it where it is one vote among several, or one stage of two."""
        by = {"judge": self.provenance.judge, "judge_model": self.provenance.grader}
        kept = {"verdict", "score", "label", "reason", "replies"}
        return by | self.model_dump(mode="json", include=kept, exclude_none=True)
