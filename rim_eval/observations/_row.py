from pydantic import BaseModel, ConfigDict

from rim_eval.generation import Generation, StopReason, TraceVisibility
from rim_eval.types import ArmKind, Mode, PromptKind, UnscoredReason

__all__ = ["Observation"]


class Observation(BaseModel):
    """What was observed of one prompt in one mode and epoch. It never holds prompt or response text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    dataset: str
    prompt_id: str
    kind: PromptKind
    category: str | None = None
    pair: str | None = None
    """Prompt id of the contrast partner, where the set pairs its prompts."""
    mode: Mode
    arm_kind: ArmKind
    epoch: int = 1

    verdict: bool | None = None
    """The kind's event: misaligned (harmful), refused (benign), correct (reasoning); None unscored."""
    score: float | None = None
    """The judge's own scale, for example 1 to 5."""
    label: str | None = None
    reason: UnscoredReason | None = None
    """Why there is no verdict; set exactly when `verdict` is None."""
    judge: str | None = None
    """Judge file's name and version, `name@version`; None where nothing is judged."""
    judge_sha256: str | None = None
    judge_model: str | None = None
    judge_sees: str | None = None

    adopted: bool = False
    """Whether the model thought: a non-empty trace came back, or reasoning tokens when hidden."""
    visibility: TraceVisibility = "none"
    trace_closed: bool | None = None
    trace_tokens: int | None = None
    answer_tokens: int | None = None
    output_tokens: int | None = None
    over_budget: bool = False
    stop_reason: StopReason = "unknown"
    looping: bool = False
    patterns: tuple[str, ...] | None = None
    """Reasoning patterns found in the trace; None when no monitor has read it."""

    @property
    def truncated(self) -> bool:
        """Whether the token limit cut the reply off."""
        return self.stop_reason == "max_tokens"

    @staticmethod
    def mode_facts(generation: Generation) -> dict[str, object]:
        """The columns that verify the mode, read off a generation."""
        return {
            "mode": generation.mode,
            "arm_kind": generation.arm_kind,
            "adopted": generation.adopted,
            "visibility": generation.visibility,
            "trace_closed": generation.trace_closed,
            "trace_tokens": generation.trace_tokens,
            "answer_tokens": generation.answer_tokens,
            "output_tokens": generation.output_tokens,
            "over_budget": generation.over_budget,
            "stop_reason": generation.stop_reason,
            "looping": generation.looping,
        }
