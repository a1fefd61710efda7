"""The scanner for Inspect Scout, where Scout is installed (`rim-eval[scout]`)."""

import asyncio
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
)

from rim_eval.inspect_tasks.compat import PrerequisiteError


def test_the_entry_point_does_not_load_scout() -> None:
    import rim_eval._registry  # noqa: F401

    assert "rim_eval.inspect_tasks.scout" not in sys.modules or "inspect_scout" in sys.modules


def reply(*reasoning: ContentReasoning, text: str, mode: str | None = None) -> ChatMessage:
    content: list[Any] = [*reasoning, ContentText(text=text)]
    return ChatMessageAssistant(id="m1", content=content, metadata={"mode": mode} if mode else None)


def scan(*messages: ChatMessage) -> list[Any]:
    pytest.importorskip("inspect_scout")
    from rim_eval.inspect_tasks.scout import reasoning_patterns

    transcript: Any = SimpleNamespace(messages=[ChatMessageUser(content="Open it."), *messages])
    found: list[Any] = asyncio.run(reasoning_patterns("cues")(transcript))
    return found


SHORTCUT = "I will just guess."


def test_without_a_model_it_says_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("inspect_scout")
    from rim_eval.inspect_tasks.scout import reasoning_patterns

    monkeypatch.delenv("INSPECT_EVAL_MODEL", raising=False)
    transcript: Any = SimpleNamespace(messages=[])
    with pytest.raises(PrerequisiteError, match="pass --model MODEL"):
        asyncio.run(reasoning_patterns()(transcript))


@pytest.mark.parametrize(
    "message",
    [
        reply(ContentReasoning(reasoning=SHORTCUT), text="Sure.", mode="think"),
        reply(text=f"<think>{SHORTCUT}</think>Sure.", mode="think"),
    ],
)
def test_traces_are_read_from_their_field_or_their_marks(message: ChatMessage) -> None:
    [found] = scan(message)
    assert (found.label, found.value) == ("think", ["heuristic_reliance"])
    assert [(one.id, one.cite) for one in found.references] == [("m1", SHORTCUT)]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (reply(text="Sure."), "no_trace"),
        (reply(ContentReasoning(reasoning="x", redacted=True), text="Sure."), "trace_hidden"),
        (
            reply(ContentReasoning(reasoning="", summary="It thought."), text="Sure."),
            "trace_summarised",
        ),
    ],
)
def test_what_cannot_be_read_is_null_with_the_reason(message: ChatMessage, why: str) -> None:
    [found] = scan(message)
    assert (found.value, found.explanation) == (None, why)
