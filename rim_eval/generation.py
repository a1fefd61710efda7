"""One reply of the evaluated model: trace and answer apart, and the facts that verify its mode."""

from typing import Any, Final, Literal

from pydantic import Field

from rim_eval.types import ArmKind, FrozenModel, Mode, SamplingProtocol

TraceVisibility = Literal["full", "summary", "hidden", "none"]
"""How much of the trace came back: all of it, a provider's summary, only a token count, nothing."""

REPLIES_KEY: Final = "rim_eval:generations"
INJECTED_KEY: Final = "rim_eval:injected"
WEIGHTS_KEY: Final = "rim_eval:weights"
MODEL_KEY: Final = "rim_eval:model"
"""Keys of an Inspect sample's store: replies by mode, by arm of an injection run, fingerprint, model's name."""

StopReason = Literal["stop", "max_tokens", "content_filter", "error", "unknown"]


class Generation(FrozenModel):
    """One reply of the evaluated model in one mode, split and verified.

    Everything downstream (judges, patterns, observations) reads this and never the raw text.
    """

    mode: Mode
    arm_kind: ArmKind
    dose: str | None = None
    """Amount of thinking, in a run of several (`rim_eval.thinking.doses`); None where there are two modes."""
    attack: str | None = None
    """Name of the attack that the prompt was wrapped in; None for the bare prompt."""
    sampling: SamplingProtocol = "equal"
    """How the arm was decoded, next to the other mode's."""
    answer: str = ""
    """What follows the trace; empty when the trace never closed."""
    trace: str | None = None
    """The reasoning text without its markers; None when there was none or it is hidden."""
    visibility: TraceVisibility = "none"
    trace_closed: bool | None = None
    """Whether the trace's end was seen; None when there was no trace."""
    trace_tokens: int | None = None
    """Tokens of the trace: the engine's count, else its share of the engine's total, else the tokenizer's count."""
    output_tokens: int | None = None
    """All generated tokens, without padding."""
    answer_tokens: int | None = None
    over_budget: bool = False
    """Whether the answer alone is longer than the answer budget that both arms share."""
    trace_over_budget: bool = False
    """Whether the trace is longer than the thinking budget and took room of the answer; never of effort
    arms, which are given no such budget."""
    over_limit: bool = False
    """Whether more tokens came back than `max_tokens` allows, by the engine's count: it ignored the limit."""
    stop_reason: StopReason = "unknown"
    closed_at_budget: bool = False
    """Whether the trace was closed for the model, at the budget of its dose."""
    looping: bool = False
    """Whether the text ends in a repeating cycle (degenerate output)."""
    error: str | None = None
    """The engine's error, when there was no reply."""
    served_model: str | None = None
    """The model that answered, by the engine's own word."""
    other_model: bool = False
    """Whether that is another model than the one that was asked."""
    unknown_marks: str | None = None
    """A mark in the answer that looks like a trace's and that no known family uses: it may be all trace."""
    requested: dict[str, Any] = Field(default_factory=dict)
    """How the mode was asked for: the exact switch of this call (template words, prefill, effort)."""

    @property
    def adopted(self) -> bool:
        """Whether the model thought: a non-empty trace, or reasoning tokens when it is hidden.

        Never where marks are unknown: what was split off is not known to be the trace.
        """
        if self.unknown_marks is not None:
            return False
        if self.visibility == "hidden":
            return bool(self.trace_tokens)
        return bool(self.trace and self.trace.strip())

    @property
    def trace_end_unknown(self) -> bool:
        """Whether a think-mode reply was cut and nothing says that its trace had ended: it may be all trace.

        Evidence is a trace, in the text or in a field of its own, its summary, or reasoning tokens.
        """
        cut = self.mode == "think" and self.stop_reason == "max_tokens"
        return cut and self.trace is None and self.visibility == "none"


_MAX_TAIL: Final = 4_000
"""Characters at the end that are looked at: a loop that ran into the token limit fills them."""

_MIN_LOOP: Final = 240
"""Shortest repeating suffix, in characters, that counts: shorter ones are rhymes and rulers."""

_MIN_COPIES: Final = 4


def is_looping(text: str) -> bool:
    """Return whether a text ends in degenerate output: one passage over and over.

    A suffix of at least 240 characters must consist of at least four copies of the same passage
    (the last may be cut off), and the passage must hold a letter or digit.

    Args:
        text: What the model wrote, trace and answer together.
    """
    tail = text.rstrip()[-_MAX_TAIL:]
    for period in range(1, len(tail) // _MIN_COPIES + 1):
        loop = tail[-max(_MIN_LOOP, _MIN_COPIES * period) :]
        if len(loop) >= _MIN_LOOP and loop[period:] == loop[:-period]:
            return any(character.isalnum() for character in loop[-period:])
    return False
