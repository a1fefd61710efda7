import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from rim_eval.observations import Observation

from .chat_server import ChatServer, Say

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
    """Makes the observations of one set from verdicts by mode: `rows("doors", think=[1, 0, None], ...)`.

    A text in place of a verdict is the reason why there is none.
    """

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
                    "verdict": None if reason else bool(verdict),
                    "reason": reason,
                }
                | about
            )
            for mode, verdicts in arms.items()
            for index, verdict in enumerate(verdicts)
            for reason in [
                "judge_unreadable"
                if verdict is None
                else verdict
                if isinstance(verdict, str)
                else None
            ]
        ]

    return make


@pytest.fixture
def serve_chat() -> Iterator[Callable[[Say], ChatServer]]:
    """Starts chat completions servers on loopback."""
    servers = []

    def start(say: Say) -> ChatServer:
        server = ChatServer(say)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


Reply = Callable[[str, bool], str | None]
"""By the last message and whether it is to think; None for an error."""


class WindowedServer(ThreadingHTTPServer):
    """A server with a context window, whose tokens are words; it answers as vLLM does.

    A request whose prompt and `max_tokens` are longer than the window is refused with status 400, as
    SGLang 0.5 and vLLM up to its clamping of `max_tokens` do (vLLM 0.32 refuses only prompts that are longer
    by themselves; `clamps`). The words of the error are theirs.
    """

    clamps = False
    tells = True
    """Whether it says its window and counts tokens; other servers than vLLM and SGLang do not."""

    def __init__(self, window: int, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.window, self.reply = window, reply
        # Inspect's vLLM provider keeps one address for each name.
        self.name = f"organism-{self.server_address[1]}"
        self.requests: list[dict[str, Any]] = []
        """Bodies of all completions that were asked for, also of refused ones."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def complete(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(body)
        thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
        text = self.reply(body["messages"][-1]["content"], thinks)
        if body["model"] != self.name or text is None:
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

    def start(window: int, reply: Reply) -> WindowedServer:
        servers.append(WindowedServer(window, reply))
        Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


Answer = Callable[[str], str | int | None]
"""From the text of a question to the grader's reply, to an HTTP status, or to None: a body without choices."""


class GraderServer(ThreadingHTTPServer):
    """A grader that speaks chat completions, and fails on what it is told to fail on; it keeps the text of every question."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _GraderHandler)
        self.answer = answer
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _GraderHandler(BaseHTTPRequestHandler):
    server: GraderServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = "\n".join(message["content"] for message in body["messages"])
        self.server.asked.append(question)
        answer = self.server.answer(question)
        if isinstance(answer, int):
            return self._send(answer, {"error": {"message": "scripted", "type": "scripted"}})
        message = {"role": "assistant", "content": answer}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self._send(
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "grader",
                "choices": [] if answer is None else [choice],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            },
        )

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def grader_server() -> Iterator[Callable[[Answer], GraderServer]]:
    """Starts graders on loopback, which are answering when they are handed over."""
    with ExitStack() as servers:

        def start(answer: Answer) -> GraderServer:
            server = servers.enter_context(GraderServer(answer))
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            servers.callback(server.shutdown)
            return server

        yield start
