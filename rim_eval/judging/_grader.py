"""Asking a grader model: the few things that a judge needs of it, and a bounded dialogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from rim_eval.judging._declines import declines
from rim_eval.judging._greedy import greedy, says_greedy_itself
from rim_eval.judging._readers import LinesReader, TagsReader, WordReader
from rim_eval.judging._reading import Reading, read_reply
from rim_eval.judging._refusal import classify_refusal
from rim_eval.judging._spec import GraderSettings
from rim_eval.judging._waiting import waiting_for
from rim_eval.types import UnscoredReason

__all__ = ["Asked", "Dialogue", "Grader", "ask"]


class Grader(Protocol):
    """What a judge needs of a model; `inspect_ai.model.Model` has it."""

    async def generate(self, input: Any, *, config: Any) -> Any:
        """Reply to chat messages; the result has `completion` and `stop_reason`."""


class Dialogue(Protocol):
    """What says how a grader is asked: a judge file, or the rubric of a pattern monitor."""

    @property
    def grader(self) -> GraderSettings:
        """How the grader generates."""

    @property
    def reask(self) -> str | None:
        """What the grader is told after an unreadable reply."""

    @property
    def retries(self) -> int:
        """How often the grader is asked again."""


@dataclass(frozen=True)
class Asked:
    """How the dialogue with the grader ended."""

    reading: Reading | None
    """The readable reply; None when there was none."""
    reason: UnscoredReason | None
    problem: str | None
    replies: tuple[str, ...]
    attempts: int


async def ask(
    spec: Dialogue,
    reader: TagsReader | LinesReader | WordReader,
    messages: Sequence[tuple[str, str]],
    grader: Grader,
) -> Asked:
    """Ask until a reply can be read, at most `1 + spec.retries` times.

    A second question shows the grader its own unreadable reply, and gives more room when that was
    cut: the same question again would get the same reply from a cache or at temperature 0.
    """
    grader, room, dialogue = greedy(grader), 1, list(messages)
    replies: list[str] = []
    outcome: tuple[UnscoredReason, str] = ("judge_unreadable", "never asked")
    for attempt in range(1, spec.retries + 2):
        config = _config(spec, grader, room)
        try:
            call = partial(grader.generate, input=_chat(dialogue), config=config)
            output = await waiting_for(call, spec.grader.api_retries)
        except Exception as error:
            _let_limits_pass(error)
            problem = f"{type(error).__name__}: {error}"[:300]
            return Asked(None, "judge_failed", problem, tuple(replies), attempt)
        raw, stop = str(output.completion or ""), str(output.stop_reason or "unknown")
        replies.append(raw)
        reading = read_reply(reader, _without_trace(raw))
        failure = _failure(reading, stop, raw)
        if failure is None:
            return Asked(reading, None, None, tuple(replies), attempt)
        outcome = failure
        if outcome[0] == "judge_truncated" and config.max_tokens is not None:
            room *= 2
        elif outcome[0] != "judge_truncated" and spec.reask:
            dialogue = [*messages, ("assistant", raw.strip() or "(empty)"), ("user", spec.reask)]
        else:
            break
    return Asked(None, *outcome, tuple(replies), len(replies))


def _failure(reading: Reading, stop: str, raw: str) -> tuple[UnscoredReason, str] | None:
    if stop == "content_filter":
        return "judge_refused", "the grader's provider filtered the reply"
    cut = stop in ("max_tokens", "model_length")
    if reading.problem is None and (reading.ends_reply or not cut):
        return None
    if cut:
        return "judge_truncated", f"cut at the token limit: {reading.problem or 'mid-reply'}"
    if classify_refusal(raw).label == "full_refusal" or declines((raw,)):
        return "judge_refused", f"the grader declined: {raw.strip()[:120]!r}"
    return "judge_unreadable", reading.problem or "unreadable"


def _without_trace(raw: str) -> str:
    """The reply without the grader's own reasoning; verdicts inside that do not count."""
    from rim_eval.thinking import split_trace

    return split_trace(raw).answer


def _chat(dialogue: Sequence[tuple[str, str]]) -> list[Any]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    roles = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
    }
    return [roles[role](content=text) for role, text in dialogue]


def _config(spec: Dialogue, grader: Grader, room: int) -> Any:
    """Generation settings of one call: the judge file's, where the user's model sets none."""
    from inspect_ai.model import GenerateConfig

    own, settings = getattr(grader, "config", None), spec.grader
    wanted: dict[str, Any] = {
        "temperature": None if says_greedy_itself(grader) else settings.temperature,
        "max_tokens": settings.max_tokens * room,
        "max_retries": settings.api_retries,
        "attempt_timeout": settings.call_timeout,
    }
    return GenerateConfig(
        **{name: value for name, value in wanted.items() if getattr(own, name, None) is None}
    )


def _let_limits_pass(error: Exception) -> None:
    """Inspect's own limits end a sample or a run; they are no failure of the grader."""
    from inspect_ai.util import LimitExceededError

    if isinstance(error, LimitExceededError):
        raise error
