"""What one model call gave back: trace and answer apart, and the facts that verify the mode."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from rim_eval.types import ArmKind, Mode

TraceVisibility = Literal["full", "summary", "hidden", "none"]
"""How much of the trace came back: all of it, a provider's summary, only a token count, nothing."""

REPLIES_KEY: Final = "rim_eval:generations"
INJECTED_KEY: Final = "rim_eval:injected"
WEIGHTS_KEY: Final = "rim_eval:weights"
"""Keys of an Inspect sample's store: replies by mode, replies by arm of an injection run, fingerprint."""

StopReason = Literal["stop", "max_tokens", "content_filter", "error", "unknown"]


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
