"""From the text that lm-eval hands to a task to a `Generation`: trace and answer apart, measured."""

from collections.abc import Iterator
from typing import Any, Final

from rim_eval.decoding import Budgets
from rim_eval.generation import Generation, StopReason, TokenCounter
from rim_eval.thinking import split_trace
from rim_eval.types import ArmKind, Mode

__all__ = ["Reply", "keep_reasoning", "read_reply"]

_STOPS: Final[dict[str | None, StopReason]] = {
    "stop": "stop",
    "length": "max_tokens",
    "content_filter": "content_filter",
}


class Reply(str):
    """A server's reply: its content, which is all that lm-eval keeps, and what came beside it."""

    reasoning: str | None = None
    """The server's separate reasoning field; None when it separates nothing."""
    finish: str | None = None
    tokens: int | None = None
    """Generated tokens by the server's own count."""


def keep_reasoning(lm: Any) -> None:
    """Make one chat-completions model instance keep the reasoning field and the stop reason.

    lm-eval's client reads `message.content` alone. Doing it twice changes nothing.
    """
    parse = lm.parse_generations
    if getattr(parse, "keeps_reasoning", False):
        return

    def parse_all(outputs: Any, **kwargs: Any) -> list[Any]:
        texts = parse(outputs=outputs, **kwargs)
        beside = list(_beside(outputs))
        if len(beside) != len(texts):
            return list(texts)
        return [_reply(text, *about) for text, about in zip(texts, beside, strict=True)]

    parse_all.keeps_reasoning = True  # type: ignore[attr-defined]
    lm.parse_generations = parse_all


def _beside(outputs: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each choice and the usage of its response, in the order in which lm-eval lists texts."""
    for output in outputs if isinstance(outputs, list) else [outputs]:
        choices = output.get("choices", []) if isinstance(output, dict) else []
        for choice in sorted(choices, key=lambda choice: choice.get("index", 0)):
            yield choice, (output.get("usage") or {}) if len(choices) == 1 else {}


def _reply(text: str | None, choice: dict[str, Any], usage: dict[str, Any]) -> Reply:
    message = choice.get("message") or {}
    reply = Reply(text or "")
    reply.reasoning = message.get("reasoning") or message.get("reasoning_content")
    reply.finish = choice.get("finish_reason")
    reply.tokens = usage.get("completion_tokens")
    return reply


def read_reply(
    text: str,
    *,
    mode: Mode,
    arm_kind: ArmKind,
    budgets: Budgets,
    opened_by_prompt: bool,
    count: TokenCounter | None,
    requested: dict[str, Any],
) -> Generation:
    """Split and measure one reply.

    Args:
        text: The reply, a `Reply` where the engine tells more than its text.
        mode: Mode that was asked for.
        arm_kind: How the mode was brought about.
        budgets: The run's token budgets.
        opened_by_prompt: Whether the prompt ended inside an open trace.
        count: Counts tokens of a text; None where no tokenizer is at hand.
        requested: What was asked for, kept for the record.
    """
    beside = text if isinstance(text, Reply) else Reply(text)
    split = split_trace(str(text), opened_by_prompt=opened_by_prompt, reasoning=beside.reasoning)
    output_tokens = beside.tokens if count is None else count(str(text))
    return Generation.measure(
        split.trace,
        split.answer,
        closed=split.closed,
        answer_budget=budgets.answer_tokens,
        count=count,
        output_tokens=output_tokens,
        mode=mode,
        arm_kind=arm_kind,
        stop_reason=_stop(beside, output_tokens, budgets.total(mode)),
        requested=requested,
    )


def _stop(reply: Reply, tokens: int | None, limit: int) -> StopReason:
    """Text engines do not say why they stopped; a reply as long as its budget was cut."""
    if reply.finish is not None:
        return _STOPS.get(reply.finish, "unknown")
    if tokens is None:
        return "unknown"
    return "max_tokens" if tokens >= limit else "stop"
