"""What one model call gave back: trace and answer apart, measured, with the facts that verify the mode."""

from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.types import ArmKind, Mode

__all__ = ["Generation", "StopReason", "TokenCounter", "TraceVisibility", "is_looping"]

TraceVisibility = Literal["full", "summary", "hidden", "none"]
"""How much of the trace came back: all of it, a provider's summary, only a token count, nothing."""

StopReason = Literal["stop", "max_tokens", "content_filter", "error", "unknown"]

TokenCounter = Callable[[str], int]
"""Counts the tokens of a text as the model's own tokenizer cuts it."""


class Generation(BaseModel):
    """One reply of the evaluated model in one mode, split and verified.

    Everything downstream (judges, patterns, observations) reads this and never the raw text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    arm_kind: ArmKind
    answer: str = ""
    """What follows the trace; empty when the trace never closed."""
    trace: str | None = None
    """The reasoning text without its markers; None when there was none or it is hidden."""
    visibility: TraceVisibility = "none"
    trace_closed: bool | None = None
    """Whether the trace's end was seen; None when there was no trace."""
    trace_tokens: int | None = None
    """Tokens of the trace: the tokenizer's or the server's count, else its share by characters."""
    output_tokens: int | None = None
    """All generated tokens, without padding."""
    answer_tokens: int | None = None
    over_budget: bool = False
    """Whether the answer alone is longer than the answer budget that both arms share."""
    stop_reason: StopReason = "unknown"
    looping: bool = False
    """Whether the text ends in a repeating cycle (degenerate output)."""
    error: str | None = None
    """The engine's error, when there was no reply."""
    requested: dict[str, Any] = Field(default_factory=dict)
    """How the mode was asked for: the exact switch of this call (template words, prefill, effort)."""

    @property
    def adopted(self) -> bool:
        """Whether the model thought: a non-empty trace, or reasoning tokens when it is hidden."""
        if self.visibility == "hidden":
            return bool(self.trace_tokens)
        return bool(self.trace and self.trace.strip())

    @classmethod
    def failed(
        cls, error: str, mode: Mode, arm_kind: ArmKind, requested: dict[str, Any] | None = None
    ) -> "Generation":
        """The generation of a call that gave no reply.

        Args:
            error: The engine's error.
            mode: Mode that was asked for.
            arm_kind: How the mode was brought about.
            requested: What was asked for, kept for the log.
        """
        return cls(
            mode=mode,
            arm_kind=arm_kind,
            stop_reason="error",
            error=error,
            requested=requested or {},
        )

    @classmethod
    def measure(
        cls,
        trace: str | None,
        answer: str,
        *,
        closed: bool | None,
        answer_budget: int,
        count: TokenCounter | None,
        output_tokens: int | None,
        reasoning_tokens: int | None = None,
        redaction: Literal["summary", "hidden"] | None = None,
        **request: Any,
    ) -> "Generation":
        """A generation from a reply that is split already, with its lengths and flags.

        Args:
            trace: The trace without its markers; None when there is none.
            answer: What follows the trace.
            closed: Whether the trace's end was seen.
            answer_budget: Tokens that an answer may have in either mode.
            count: Counts tokens; None where no tokenizer is at hand.
            output_tokens: All generated tokens by the engine's count.
            reasoning_tokens: Tokens of the trace by the engine's count.
            redaction: What the provider returned in place of the trace.
            **request: `mode`, `arm_kind`, `stop_reason` and `requested`.
        """
        tokens = _split_tokens(trace or "", answer, count, output_tokens, reasoning_tokens)
        visible: TraceVisibility = "full" if trace and trace.strip() else "none"
        if visible == "none" and reasoning_tokens:
            visible = "hidden"
        return cls(
            answer=answer,
            trace=trace,
            visibility=redaction or visible,
            trace_closed=closed if trace is not None else None,
            trace_tokens=tokens[0],
            answer_tokens=tokens[1],
            output_tokens=output_tokens,
            over_budget=(tokens[1] or 0) > answer_budget,
            looping=is_looping(answer or trace or ""),
            **request,
        )


def _split_tokens(
    trace: str, answer: str, count: TokenCounter | None, total: int | None, reasoning: int | None
) -> tuple[int | None, int | None]:
    """Tokens of trace and answer: counted, else the engine's, else its total shared out by characters."""
    if count is not None:
        return (count(trace) if trace else 0, count(answer))
    if total is None:
        return (None, None)
    characters = len(trace) + len(answer)
    share = reasoning or (round(total * len(trace) / characters) if characters else 0)
    return (share, max(total - share, 0))


_TAIL: Final = 4_000
"""Characters at the end that are looked at: a loop that ran into the token limit fills them."""

_LEAST: Final = 240
"""Shortest repeating suffix, in characters, that counts: shorter ones are rhymes and rulers."""

_REPEATS: Final = 4


def is_looping(text: str) -> bool:
    """Whether a text ends in degenerate output: one passage over and over.

    A suffix of at least 240 characters must consist of at least four copies of the same passage
    (the last may be cut off), and the passage must hold a letter or digit. Linear in the length.

    Args:
        text: What the model wrote, trace and answer together.
    """
    reverse = text.rstrip()[-_TAIL:][::-1]
    for length, border in enumerate(_borders(reverse), start=1):
        period = length - border
        if length >= _LEAST and length >= _REPEATS * period:
            return any(character.isalnum() for character in reverse[:period])
    return False


def _borders(text: str) -> list[int]:
    """Length of the longest proper border of every prefix (the Knuth-Morris-Pratt table)."""
    borders = [0] * len(text)
    length = 0
    for index in range(1, len(text)):
        while length and text[index] != text[length]:
            length = borders[length - 1]
        length += text[index] == text[length]
        borders[index] = length
    return borders
