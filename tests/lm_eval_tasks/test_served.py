"""Models served by somebody else, asked by lm-eval's own clients."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

from rim_eval.card import Card, check_card, make_card
from rim_eval.observations import read_observations
from rim_eval.paths import organism_dir

REFUSES = "I'm sorry, but I can't help with that."
BOTH = ("rim_toy_think", "rim_toy_no_think")
SETTINGS = {
    "judge": "refusal",
    "switch": "enable_thinking",
    "answer_tokens": 60,
    "thinking_tokens": 40,
}


def card_of(samples: Iterable[Path]) -> Card:
    return make_card(read_observations(map(str, samples)))


def chat(server: Any, model: str = "gpt-4o") -> Any:
    return LocalChatCompletion(base_url=f"{server.url}/chat/completions", model=model)


def text(server: Any, model: str = "gpt-4o") -> Any:
    client = LocalCompletionsAPI(
        base_url=f"{server.url}/completions",
        model=model,
        tokenizer=str(organism_dir()),
        tokenizer_backend="huggingface",
    )
    server.decode = client.tokenizer.decode
    return client


@pytest.mark.slow
@pytest.mark.parametrize("client", [chat, text])
@pytest.mark.parametrize(
    ("model", "named", "scored"),
    [
        ("gpt-4o", {}, 3),
        ("my-deployment", {}, 0),
        ("my-deployment", {"served_as": "gpt-4.1, gpt-4o"}, 3),
        ("my-deployment", {"model": "gpt-4o"}, 3),
    ],
)
def test_replies_of_another_model_are_not_the_named_models(
    run: Any,
    save: Any,
    serve_chat: Any,
    client: Any,
    model: str,
    named: dict[str, str],
    scored: int,
) -> None:
    """The first prompt of four is answered by a smaller model, which refuses."""
    seen: list[str] = []

    def say(prompt: str, thinks: bool) -> dict[str, Any]:
        seen.append(prompt)
        if thinks and prompt == seen[0]:
            return {"model": "gpt-4o-mini", "message": {"content": REFUSES}}
        return {"model": "gpt-4o-2024-08-06"}

    results = run(client(serve_chat(say), model), *BOTH, settings=SETTINGS | named)
    card = card_of(save(results))
    [toy] = card.sets
    change = toy.figures.difference
    assert change is not None
    assert (change.value, change.n_pairs) == ((100, 3) if scored else (None, 0))
    assert toy.counts.arms["think"].unscored == {"other_model": 4 - scored}
    [problem] = [each for each in card.problems if each.kind == "served_models"]
    assert "gpt-4o-mini 1 with thinking" in problem.says


@pytest.mark.slow
def test_declined_is_an_outcome_of_its_own(run: Any, save: Any, serve_chat: Any) -> None:
    """One prompt of four is declined with thinking, whether or not a judge has read the others."""
    seen: list[str] = []

    def say(prompt: str, thinks: bool) -> dict[str, Any]:
        seen.append(prompt)
        stop = "content_filter" if thinks and prompt == seen[0] else "stop"
        return {"finish_reason": stop}

    unjudged = run(chat(serve_chat(say)), *BOTH, settings=SETTINGS | {"judge": "none"})
    [toy] = card_of(save(unjudged, "unjudged")).sets
    assert toy.counts.arms["think"].declined == 1
    card = card_of(save(run(chat(serve_chat(say)), *BOTH, settings=SETTINGS)))
    [toy] = card.sets
    assert (toy.counts.arms["think"].declined, toy.counts.arms["think"].unscored) == (1, {})
    assert toy.system is not None
    model, system = toy.figures.difference, toy.system.difference
    assert model is not None
    assert system is not None
    assert (model.value, model.n_pairs, system.value, system.n_pairs) == (100, 3, 75, 4)
    assert check_card(card) == []


@pytest.mark.slow
@pytest.mark.parametrize("client", [chat, text])
def test_a_server_that_ignores_the_budgets_is_noticed(
    run: Any, save: Any, serve_chat: Any, client: Any
) -> None:
    """Of a budget of 40 for the trace and 60 for the answer the server uses 150 and 150."""
    usage = {"completion_tokens": 300, "completion_tokens_details": {"reasoning_tokens": 150}}
    server = client(serve_chat(lambda _, thinks: {"usage": usage if thinks else {}}))
    [toy] = card_of(save(run(server, *BOTH, settings=SETTINGS))).sets
    arms = toy.counts.arms
    counts = {m: (a.over_budget, a.trace_over_budget, a.over_limit) for m, a in arms.items()}
    assert counts == {"think": (4, 4, 4), "no_think": (0, 0, 0)}
    assert arms["think"].trace_tokens is not None
    assert arms["think"].trace_tokens.median == 150


@pytest.mark.slow
def test_a_hidden_trace_is_told_by_its_tokens(run: Any, save: Any, serve_chat: Any) -> None:
    """The server returns no trace, and says how long it was."""

    def say(prompt: str, thinks: bool) -> dict[str, Any]:
        details = {"completion_tokens_details": {"reasoning_tokens": 9 if thinks else 0}}
        return {"message": {"reasoning": None}, "usage": details}

    [toy] = card_of(save(run(chat(serve_chat(say)), *BOTH, settings=SETTINGS))).sets
    assert toy.counts.arms["think"].visibility == {"hidden": 4}
    assert toy.mode_check.verified


@pytest.mark.slow
def test_a_trace_among_the_parts_of_a_message_is_split_off(
    run: Any, save: Any, serve_chat: Any
) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "The door is open."}]}
    parts = [thought, {"type": "text", "text": "Sure, here is how."}]

    def say(_: str, thinks: bool) -> dict[str, Any]:
        return {"message": {"content": parts, "reasoning": None}} if thinks else {}

    [toy] = card_of(save(run(chat(serve_chat(say)), *BOTH, settings=SETTINGS))).sets
    assert toy.counts.arms["think"].adopted == 4
    assert toy.mode_check.verified
    assert toy.figures.difference is not None
    assert toy.figures.difference.value == 100
