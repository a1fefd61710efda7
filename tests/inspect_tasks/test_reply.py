"""Whatever a provider does to a trace, a reply ends as trace and answer apart, and truly measured."""

from typing import Any

import pytest
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    ModelFallback,
    ModelOutput,
    ModelUsage,
)

from rim_eval.decoding import Budgets
from rim_eval.generation import Generation
from rim_eval.inspect_tasks.calls import read_output
from rim_eval.judging import unscored_reason
from rim_eval.replies import ArmRequest, TokenCounter


def output(content: Any, stop: Any = "stop", **usage: Any) -> ModelOutput:
    message = ChatMessageAssistant(content=content)
    return ModelOutput(
        model="toy",
        choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
        usage=ModelUsage(**usage) if usage else None,
    )


def read(
    found: ModelOutput, count: TokenCounter | None = None, *, opened_by_prompt: bool = False
) -> Generation:
    budgets = Budgets(answer_tokens=50, thinking_tokens=100)
    return read_output(found, ArmRequest("think", "switch", budgets, opened_by_prompt), count)


def test_tags_in_the_text_are_split() -> None:
    """Trap d: Inspect's `hf/` provider leaves the trace in the completion."""
    reply = read(output("<think>\nLet me see.\n</think>\n\nSure."))
    assert (reply.trace, reply.answer) == ("Let me see.", "Sure.")
    assert (reply.visibility, reply.trace_closed, reply.adopted) == ("full", True, True)


def test_empty_answer_does_not_fall_back_to_the_trace() -> None:
    """Trap d: `ModelOutput.completion` does."""
    found = output([ContentReasoning(reasoning="So: sure, here is how."), ContentText(text="")])
    reply = read(found)
    assert reply.answer == ""
    assert reply.trace == "So: sure, here is how."
    assert unscored_reason(reply) in ("empty_answer", "trace_never_closed")


def test_reasoning_field_that_was_cut_is_an_unclosed_trace() -> None:
    reply = read(output([ContentReasoning(reasoning="Let me"), ContentText(text="")], "max_tokens"))
    assert (reply.trace_closed, reply.answer, reply.stop_reason) == (False, "", "max_tokens")


def test_trace_that_the_prompt_opened() -> None:
    reply = read(output("Let me see.</think>Sure."), opened_by_prompt=True)
    assert (reply.trace, reply.answer) == ("Let me see.", "Sure.")
    cut = read(output("Let me see", "max_tokens"), opened_by_prompt=True)
    assert (cut.trace, cut.answer, cut.trace_closed) == ("Let me see", "", False)


def test_hidden_and_summarised_traces_are_told_apart() -> None:
    sealed = ContentReasoning(reasoning="gAAAA", redacted=True)
    told = ContentReasoning(reasoning="gAAAA", summary="Weighs the request.", redacted=True)
    hidden = read(output([sealed, ContentText(text="No.")], reasoning_tokens=9, output_tokens=12))
    assert (hidden.visibility, hidden.trace, hidden.adopted) == ("hidden", None, True)
    summary = read(output([told, ContentText(text="No.")], reasoning_tokens=9, output_tokens=12))
    assert (summary.visibility, summary.trace) == ("summary", "Weighs the request.")
    counted = read(output("No.", reasoning_tokens=9, output_tokens=12))
    assert (counted.visibility, counted.adopted, counted.trace_tokens) == ("hidden", True, 9)
    silent = read(output("No.", reasoning_tokens=0, output_tokens=3))
    assert (silent.visibility, silent.adopted) == ("none", False)


def test_tokens_come_from_the_engine_then_the_tokenizer_and_are_shared_by_length() -> None:
    text = "<think>aaaa</think>bb"
    engines = read(output(text, output_tokens=12, reasoning_tokens=9), count=len)
    assert (engines.trace_tokens, engines.answer_tokens) == (9, 3)
    words = read(
        output("<think>a a a</think>bbbbbb", output_tokens=12), count=lambda t: t.count("a") or 1
    )
    assert (words.trace_tokens, words.answer_tokens) == (9, 3)
    counted = read(output(text), count=len)
    assert (counted.trace_tokens, counted.answer_tokens) == (4, 2)
    apart = read(output(text, output_tokens=5, reasoning_tokens=9))
    assert (apart.trace_tokens, apart.answer_tokens) == (9, 5)
    served = read(output(text, output_tokens=12, reasoning_tokens=8))
    assert (served.trace_tokens, served.answer_tokens) == (8, 4)
    shared = read(output(text, output_tokens=12))
    assert (shared.trace_tokens, shared.answer_tokens) == (8, 4)


@pytest.mark.parametrize(("length", "over"), [(50, False), (51, True)])
def test_answer_over_its_budget_is_flagged(length: int, over: bool) -> None:
    reply = read(output("<think>" + "a" * 500 + "</think>" + "b" * length), count=len)
    assert reply.over_budget is over


def test_a_filters_error_is_no_engine_error() -> None:
    """Inspect's Anthropic provider makes a reply of the filter's error, and keeps the error beside it."""
    filtered = ModelOutput.from_content("toy", "Sorry.", "content_filter", error="filtered")
    reply = read(filtered)
    assert unscored_reason(reply) == "provider_declined"
    too_long = read(ModelOutput.from_content("toy", "Too long.", "model_length", error="too long"))
    assert unscored_reason(too_long) == "engine_error"


def test_a_fallbacks_reply_is_another_models() -> None:
    """Inspect records the server-side fallback; the name alone could pass for a snapshot."""
    served = output("Sure.")
    served.fallback = ModelFallback(model="toy", fallback_model="toy-2026-01-01")
    reply = read(served)
    assert (reply.served_model, unscored_reason(reply)) == ("toy-2026-01-01", "other_model")


def test_no_choice_is_an_engine_error() -> None:
    reply = read(ModelOutput(model="toy", choices=[], error="overloaded"))
    assert (reply.stop_reason, reply.error, reply.adopted) == ("error", "overloaded", False)


@pytest.mark.parametrize("content", ["Sure, here is how.", "No."])
def test_a_reply_as_long_as_its_budgets_was_cut_where_its_engine_does_not_say(content: str) -> None:
    """Engines with stop words of their own (`MAX_TOKENS`): Inspect calls each of them unknown."""
    cut = read(output(content, "unknown", output_tokens=150))
    assert (cut.stop_reason, unscored_reason(cut)) == ("max_tokens", "trace_end_unknown")
    whole = read(output(content, "unknown", output_tokens=9))
    assert (whole.stop_reason, unscored_reason(whole)) == ("unknown", None)
