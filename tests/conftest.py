import json
import os
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from rim_eval.observations import Observation

# The suite needs no network; nothing in it may wait for one.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("INSPECT_DISPLAY", "none")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def shared_data() -> Path:
    """Real public data beside the project, for optional tests."""
    folder = os.environ.get("RIM_EVAL_SHARED")
    if not folder:
        pytest.skip("RIM_EVAL_SHARED names no folder of public data")
    return Path(folder)


Rows = Callable[..., list[Observation]]


@pytest.fixture
def rows() -> Rows:
    """Makes the observations of one set from verdicts by mode: `rows("doors", think=[1, 0, None], ...)`."""

    def make(dataset: str = "doors", **given: Any) -> list[Observation]:
        arms: Mapping[str, list[Any]] = {
            m: given.pop(m) for m in ("think", "no_think") if m in given
        }
        about = {
            "model": "m",
            "kind": "harmful",
            "arm_kind": "switch",
            "stop_reason": "stop",
        } | given
        if about["kind"] != "reasoning":
            about = {"judge": "refusal@1", "judge_sha256": "a" * 64, "judge_sees": "answer"} | about
        return [
            Observation.model_validate(
                {
                    "dataset": dataset,
                    "prompt_id": f"{dataset}-{index:03d}",
                    "mode": mode,
                    "adopted": mode == "think",
                    "visibility": "full" if mode == "think" else "none",
                    "verdict": None if verdict is None else bool(verdict),
                    "reason": "judge_unreadable" if verdict is None else None,
                }
                | about
            )
            for mode, verdicts in arms.items()
            for index, verdict in enumerate(verdicts)
        ]

    return make


class WindowedServer(ThreadingHTTPServer):
    """A server with a context window, whose tokens are words; it answers as vLLM does.

    A request whose prompt and `max_tokens` are longer than the window is refused with status 400, as
    SGLang 0.5 and vLLM up to its clamping of `max_tokens` do (vLLM 0.32 refuses only prompts that are longer
    by themselves; `clamps`). The words of the error are theirs.
    """

    clamps = False
    tells = True
    """Whether it says its window and counts tokens; other servers than vLLM and SGLang do not."""

    def __init__(self, window: int, reply: Callable[[str, bool], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.window, self.reply = window, reply
        # Inspect's vLLM provider keeps one address for each name.
        self.name = f"tiny-{self.server_address[1]}"
        self.requests: list[dict[str, Any]] = []
        """Bodies of all completions that were asked for, also of refused ones."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(body)
        if body["model"] != self.name:
            return 404, _error(f"The model `{body['model']}` does not exist.", "NotFoundError", 404)
        prompt = self.tokens(body)
        asked = body.get("max_completion_tokens") or body["max_tokens"]
        if prompt > self.window or (prompt + asked > self.window and not self.clamps):
            return 400, _error(
                f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length "
                f"is {self.window} tokens and your request has {prompt} input tokens.",
                "BadRequestError",
                400,
            )
        thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
        text = self.reply(body["messages"][-1]["content"], thinks)
        room = min(asked, self.window - prompt)
        words = text.split(" ")
        message = {"role": "assistant", "content": " ".join(words[:room])}
        finish = "length" if len(words) > room else "stop"
        used = {"prompt_tokens": prompt, "completion_tokens": min(len(words), room)}
        return 200, {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": self.name,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": used | {"total_tokens": sum(used.values())},
        }

    @staticmethod
    def tokens(body: dict[str, Any]) -> int:
        """A message costs its words and four more."""
        return sum(len(message["content"].split()) + 4 for message in body["messages"])


def _error(message: str, kind: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class _Handler(BaseHTTPRequestHandler):
    server: WindowedServer

    def do_GET(self) -> None:
        card: dict[str, Any] = {"id": self.server.name, "object": "model", "owned_by": "vllm"}
        if self.server.tells:
            card["max_model_len"] = self.server.window
        self._send(200, {"object": "list", "data": [card]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize" and self.server.tells:
            count = self.server.tokens(body)
            window = self.server.window
            self._send(200, {"count": count, "max_model_len": window, "tokens": [0] * count})
        elif self.path == "/v1/chat/completions":
            self._send(*self.server.complete(body))
        else:
            self._send(404, {"detail": "Not Found"})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


Serve = Callable[..., WindowedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers with a context window: `serve(4096, lambda prompt, thinks: "Sure.")`."""
    servers: list[WindowedServer] = []

    def start(window: int, reply: Callable[[str, bool], str]) -> WindowedServer:
        servers.append(WindowedServer(window, reply))
        Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
