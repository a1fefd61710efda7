"""A server that is overloaded or restarting while a run starts: its switch is found later, not taken for missing."""

from types import SimpleNamespace
from typing import Any

import pytest
from inspect_ai.model import get_model

from rim_eval import server_requests
from rim_eval.context_window import Server
from rim_eval.errors import RimError
from rim_eval.inspect_tasks.switches import switch_for
from tests.loopback import NOT_FOUND, Body, JsonServer, Reply

STATUSES = (429, 500, 502, 503)


class Vllm(JsonServer):
    """Renders prompts as vLLM does, with a switch; the first requests to each address fail."""

    def __init__(self, failures: int, status: int) -> None:
        super().__init__(self.respond)
        self.failures, self.status = failures, status
        self.times: dict[str, int] = {}

    def respond(self, _: str, path: str, body: Body) -> Reply:
        times = self.times[path] = self.times.get(path, 0) + 1
        if times <= self.failures:
            return self.status, {"error": {"message": "not now"}}
        if path == "/v1/models":
            return 200, {"data": [{"id": "organism", "owned_by": "vllm", "max_model_len": 512}]}
        if path == "/tokenize":
            thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
            text = "".join(f"{said['role']}: {said['content']}\n" for said in body["messages"])
            text += "assistant: " + ("" if thinks else "<think>\n\n</think>\n\n")
            return 200, {"tokens": [ord(letter) for letter in text]}
        if path == "/detokenize":
            return 200, {"prompt": "".join(map(chr, body["tokens"]))}
        return NOT_FOUND


def model_at(server: JsonServer) -> Any:
    return get_model("vllm/organism", base_url=server.url, api_key="none", memoize=False)


@pytest.mark.parametrize("status", STATUSES)
def test_a_switch_is_found_when_the_server_is_back(
    status: int, loopback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_requests, "time", SimpleNamespace(sleep=lambda _: None))
    server = loopback(Vllm(2, status))
    assert switch_for(model_at(server)).switch.name == "enable_thinking"
    assert Server(server.url, "organism").window() is not None


def test_a_server_that_stays_away_is_named(loopback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_requests, "PATIENCE", 1.0)
    server = loopback(Vllm(1000, 502))
    with pytest.raises(RimError, match=r"does not answer .*502"):
        switch_for(model_at(server))
    with pytest.raises(RimError, match=r"does not answer .*502"):
        Server(server.url, "organism")
