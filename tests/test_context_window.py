"""The window that a model's `config.json` declares, and the prompts that its server counts."""

from functools import partial
from typing import Any

import httpx
import pytest

from rim_eval.context_window import Server, longest_prompt, window_of_config
from rim_eval.thinking import Recipe

LLAMA = {"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8_192}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
OLD_YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"max_position_embeddings": 131_072, "rope_scaling": LLAMA}, 131_072),
        ({"max_position_embeddings": 40_960, "rope_scaling": YARN}, 131_072),
        ({"max_position_embeddings": 40_960, "rope_parameters": YARN}, 131_072),
        ({"max_position_embeddings": 32_768, "rope_scaling": OLD_YARN}, 131_072),
        ({"max_position_embeddings": 40_960, "rope_scaling": YARN | {"factor": "4"}}, 40_960),
        ({"max_position_embeddings": 40_960, "rope_scaling": YARN | {"factor": None}}, 40_960),
        ({"text_config": {"max_position_embeddings": 4_096}}, 4_096),
        ({"n_positions": 1_024}, 1_024),
        ({}, None),
    ],
)
def test_only_yarn_stretches_the_declared_positions(
    config: dict[str, Any], tokens: int | None
) -> None:
    assert window_of_config(config) == tokens


@pytest.mark.parametrize("status", [404, 503])
def test_a_server_that_did_not_count_one_prompt_is_not_asked_for_others(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request to a server that is away waits three minutes."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json={"data": []})
        return httpx.Response(status)

    client = partial(httpx.Client, transport=httpx.MockTransport(answer))
    monkeypatch.setattr("httpx.Client", client)
    monkeypatch.setattr("rim_eval.server_requests.PATIENCE", 0.0)
    server = Server("http://127.0.0.1:9/v1", "mine")
    texts = ["word " * n for n in range(40, 48)]
    write = partial(Recipe().messages, None)
    assert longest_prompt(texts, write, server.count) == longest_prompt(texts, write)
    assert asked == ["/v1/models", "/tokenize"]
