"""From Inspect's model output to a `Generation`: trace and answer apart, whatever the provider did."""

from collections.abc import Callable
from typing import Any, NamedTuple

from inspect_ai.model import ContentReasoning, ContentText, ModelOutput

from rim_eval.generation import Generation, StopReason, TraceVisibility
from rim_eval.looping import is_looping
from rim_eval.thinking import Split, split_trace
from rim_eval.types import ArmKind, Mode

__all__ = ["failed", "read_reply"]

Counter = Callable[[str], int]

_STOPS: dict[str, StopReason] = {
    "stop": "stop",
    "max_tokens": "max_tokens",
    "model_length": "max_tokens",
    "content_filter": "content_filter",
}


class _Parts(NamedTuple):
    text: str
    reasoning: str | None
    visibility: TraceVisibility


def read_reply(
    output: ModelOutput,
    *,
    mode: Mode,
    arm_kind: ArmKind,
    answer_budget: int,
    opened_by_prompt: bool = False,
    count: Counter | None = None,
    requested: dict[str, Any] | None = None,
) -> Generation:
    """Split and measure one reply.

    Reads the message's parts and never `ModelOutput.completion`, which holds the trace on some
    providers, and falls back to it on others when the answer is empty.

    Args:
        output: The provider's reply.
        mode: Mode that was asked for.
        arm_kind: How the mode was brought about.
        answer_budget: Tokens that an answer may have in either mode.
        opened_by_prompt: Whether the prompt ended inside an open trace.
        count: Counts tokens of a text; None where no tokenizer is at hand.
        requested: What was asked for, kept for the log.
    """
    if output.error or output.empty:
        return failed(output.error or "the engine returned no choice", mode, arm_kind, requested)
    parts = _parts(output)
    stop = _STOPS.get(output.choices[0].stop_reason, "unknown")
    split = split_trace(parts.text, opened_by_prompt=opened_by_prompt, reasoning=parts.reasoning)
    hidden_tokens = output.usage.reasoning_tokens if output.usage else None
    tokens = _tokens(output, split, count, hidden_tokens)
    return Generation(
        mode=mode,
        arm_kind=arm_kind,
        answer=split.answer,
        trace=split.trace,
        visibility=_visibility(parts, split, hidden_tokens),
        trace_closed=split.closed if split.trace is not None else None,
        trace_tokens=tokens[0],
        answer_tokens=tokens[1],
        output_tokens=output.usage.output_tokens if output.usage else None,
        over_budget=(tokens[1] or 0) > answer_budget,
        stop_reason=stop,
        looping=is_looping(split.answer or split.trace or ""),
        requested=requested or {},
    )


def failed(
    error: str, mode: Mode, arm_kind: ArmKind, requested: dict[str, Any] | None = None
) -> Generation:
    """The generation of a call that gave no reply."""
    return Generation(
        mode=mode, arm_kind=arm_kind, stop_reason="error", error=error, requested=requested or {}
    )


def _parts(output: ModelOutput) -> _Parts:
    content = output.choices[0].message.content
    if isinstance(content, str):
        return _Parts(content, None, "full")
    text = "".join(part.text for part in content if isinstance(part, ContentText))
    thoughts = [part for part in content if isinstance(part, ContentReasoning)]
    if not thoughts:
        return _Parts(text, None, "full")
    if not any(part.redacted for part in thoughts):
        readable = "\n".join(part.reasoning for part in thoughts if part.reasoning)
        return _Parts(text, readable or None, "full")
    summary = "\n".join(part.summary for part in thoughts if part.summary)
    return _Parts(text, summary or None, "summary" if summary else "hidden")


def _visibility(parts: _Parts, split: Split, hidden_tokens: int | None) -> TraceVisibility:
    if parts.visibility != "full":
        return parts.visibility
    if split.trace and split.trace.strip():
        return "full"
    return "hidden" if hidden_tokens else "none"


def _tokens(
    output: ModelOutput, split: Split, count: Counter | None, hidden: int | None
) -> tuple[int | None, int | None]:
    """Tokens of trace and answer."""
    if count is not None:
        return (count(split.trace) if split.trace else 0, count(split.answer))
    if output.usage is None:
        return (None, None)
    total = output.usage.output_tokens
    trace = hidden or _share(split.trace or "", split.answer, total)
    return (trace, max(total - trace, 0))


def _share(part: str, rest: str, tokens: int) -> int:
    whole = len(part) + len(rest)
    return round(tokens * len(part) / whole) if whole else 0
