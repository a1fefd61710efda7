"""Models served by somebody else: another model answers, the provider declines, a limit is ignored."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.log import EvalLog

from rim_eval import replies
from rim_eval.card import Card, card_html, card_markdown, check_card, make_card
from rim_eval.inspect_tasks.compat import PrerequisiteError
from rim_eval.observations import Observation, from_inspect_log, read_observations
from rim_eval.results.text_table import text_table

REFUSES = "I'm sorry, but I can't help with that."


@pytest.fixture
def ask(doors: Path, tmp_path: Path) -> Callable[..., EvalLog]:
    """Runs the eight doors in both modes against a server."""

    def start(server: Any, model: str = "gpt-4o", **options: Any) -> EvalLog:
        task_args = {"file": str(doors), "judge": "refusal", "switch": "enable_thinking"}
        [log] = inspect_eval(
            "rim_eval/prompts",
            model=f"openai-api/local/{model}",
            model_base_url=server.url,
            model_args={"api_key": "x"},
            task_args=task_args | options.pop("task_args", {}),
            log_dir=str(tmp_path / "logs"),
            display="none",
            **options,
        )
        return log

    return start


def door(text: str) -> int:
    return int(re.findall(r"\d+", text)[-1])


def metrics(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    [score] = log.results.scores
    return {name: metric.value for name, metric in score.metrics.items()}


def rows(log: EvalLog, mode: str) -> list[Observation]:
    return [row for row in from_inspect_log(log) if row.mode == mode]


def card_of(log: EvalLog) -> Card:
    return make_card(read_observations([log.location]))


@pytest.mark.slow
def test_replies_of_another_model_are_not_the_named_models(serve_chat: Any, ask: Any) -> None:
    """Three doors of eight were answered with thinking by a smaller model, which refuses."""

    def say(text: str, thinks: bool) -> dict[str, Any]:
        if thinks and door(text) <= 3:
            return {"model": "gpt-4o-mini-2024-07-18", "message": {"content": REFUSES}}
        return {"model": "gpt-4o-2024-08-06"}

    log = ask(serve_chat(say))
    figures = metrics(log)
    assert (figures["rim_score"], figures["pairs"], figures["unpaired"]) == (100, 5, 3)
    assert (figures["think_unscored_other_model"], figures["think_scored"]) == (3, 5)
    assert figures["think_adoption"] == 1
    names = [row.served_model for row in rows(log, "think")]
    assert names.count("gpt-4o-mini-2024-07-18") == 3
    [problem] = [each for each in card_of(log).problems if each.kind == "served_models"]
    assert problem.n == 3
    assert "gpt-4o-mini-2024-07-18 3 with thinking" in problem.says
    assert "gpt-4o-2024-08-06 8 without thinking, 5 with thinking" in problem.says


@pytest.mark.slow
def test_a_snapshot_that_changes_in_the_middle_is_said(serve_chat: Any, ask: Any) -> None:
    """Both are the named model, so they are scored; the card says that two snapshots answered."""

    def say(text: str, thinks: bool) -> dict[str, Any]:
        return {"model": f"gpt-4o-2024-{'11-20' if door(text) == 8 else '08-06'}"}

    log = ask(serve_chat(say))
    assert metrics(log)["pairs"] == 8
    [problem] = [each for each in card_of(log).problems if each.kind == "served_models"]
    assert "gpt-4o-2024-11-20 1 without thinking, 1 with thinking" in problem.says


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "served", "served_as", "pairs"),
    [
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514", None, 8),
        ("gpt-5", "openai/gpt-5", None, 8),
        ("my-deployment", "gpt-4o-2024-08-06", None, 0),
        ("my-deployment", "gpt-4o-2024-08-06", "gpt-4o", 8),
        ("my-deployment", "gpt-4o-2024-08-06", ["gpt-4.1", "gpt-4o"], 8),
    ],
)
def test_names_of_one_model(
    serve_chat: Any,
    ask: Any,
    caplog: pytest.LogCaptureFixture,
    model: str,
    served: str,
    served_as: Any,
    pairs: int,
) -> None:
    replies._warn_of_other_model.cache_clear()
    log = ask(
        serve_chat(lambda *_: {"model": served}), model=model, task_args={"served_as": served_as}
    )
    assert metrics(log)["pairs"] == pairs
    warned = [record.message for record in caplog.records if "served_as" in record.message]
    assert bool(warned) == (pairs == 0)
    assert len(warned) <= 1


def test_fallback_models_are_refused_before_the_first_token(serve_chat: Any, ask: Any) -> None:
    """They would answer exactly the requests that the named model declines."""
    server = serve_chat(lambda *_: {})
    with pytest.raises(PrerequisiteError, match="--fallback-models"):
        ask(server, fallback_models=["gpt-4.1"])
    assert server.requests == []


def decline(text: str, thinks: bool) -> dict[str, Any]:
    """Azure's answers: an error before the model is asked, a stop in the middle of its reply."""
    if thinks and door(text) <= 2:
        error = {"code": "content_filter", "message": "The prompt was filtered.", "type": None}
        return {"error": error}
    if thinks and door(text) == 3:
        return {"finish_reason": "content_filter", "message": {"content": "Sure, here"}}
    return {}


@pytest.mark.slow
def test_declined_is_an_outcome_of_its_own(serve_chat: Any, ask: Any) -> None:
    """The model complied with all that reached it; the system as a whole with five of eight."""
    log = ask(serve_chat(decline))
    figures = metrics(log)
    assert (figures["rim_score"], figures["pairs"], figures["unpaired"]) == (100, 5, 3)
    assert (figures["think_misaligned"], figures["think_misaligned_system"]) == (1, 5 / 8)
    assert (figures["rim_score_system"], figures["no_think_misaligned_system"]) == (62.5, 0)
    assert (figures["think_declined"], figures["think_unscored"]) == (3, 0)
    assert (figures["no_think_declined"], figures["mode_verified"]) == (0, 1)
    assert {row.reason for row in rows(log, "think") if row.verdict is None} == {
        "provider_declined"
    }
    card = card_of(log)
    [doors] = card.sets
    assert doors.system is not None
    assert doors.system.difference is not None
    assert (doors.system.difference.value, doors.system.difference.n_pairs) == (62.5, 8)
    assert (doors.counts.arms["think"].declined, doors.counts.arms["think"].unscored) == (3, {})
    for page in (card_markdown(card), card_html(card)):
        assert "declined by the provider" in page
        assert "as the system answers" in page
    assert check_card(card) == []
    assert "declined by the provider" in text_table(doors)


@pytest.mark.slow
def test_a_declined_harmless_request_is_refused_by_the_system(serve_chat: Any, ask: Any) -> None:
    """The model answered five doors of five with thinking; three more were declined in front of it."""
    figures = metrics(ask(serve_chat(decline), task_args={"kind": "benign"}))
    assert (figures["think_over_refused"], figures["think_over_refused_system"]) == (0, 3 / 8)
    assert (figures["over_refusal_change"], figures["over_refusal_change_system"]) == (-100, -62.5)


def used(total: int, reasoning: int) -> dict[str, Any]:
    """A reply's tokens as OpenAI, vLLM and SGLang tell them."""
    details = {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    return {"usage": {"completion_tokens": total, **details}}


def ignore_limits(text: str, thinks: bool) -> dict[str, Any]:
    """Of a budget of 40 for the trace and 60 for the answer: one trace takes more, one reply ignores both."""
    lengths = {1: used(90, 70), 2: used(300, 150)} if thinks else {3: used(61, 0)}
    return lengths.get(door(text), used(20, 9 if thinks else 0))


@pytest.mark.slow
def test_a_server_that_ignores_the_budgets_is_noticed(serve_chat: Any, ask: Any) -> None:
    log = ask(serve_chat(ignore_limits), task_args={"answer_tokens": 60, "thinking_tokens": 40})
    figures = metrics(log)
    names = ("over_budget", "trace_over_budget", "over_limit")
    assert [figures[f"think_{name}"] for name in names] == [1, 2, 1]
    assert [figures[f"no_think_{name}"] for name in names] == [1, 0, 1]
    assert sorted(row.trace_tokens or 0 for row in rows(log, "think")) == [9] * 6 + [70, 150]
    card = card_of(log)
    assert check_card(card) == []
    [doors] = card.sets
    assert "2 traces longer than the thinking budget" in text_table(doors)
    assert "1 longer than max_tokens, which the engine ignored" in text_table(doors)
    assert "| 1 / 2 / 1 |" in card_markdown(card)


@pytest.mark.slow
def test_effort_has_no_thinking_budget(serve_chat: Any, ask: Any) -> None:
    budgets = {"answer_tokens": 60, "thinking_tokens": 40, "switch": "effort:low,high"}
    figures = metrics(ask(serve_chat(ignore_limits), task_args=budgets))
    assert (figures["think_trace_over_budget"], figures["think_over_limit"]) == (0, 1)
