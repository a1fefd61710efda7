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


Answer = Callable[[str], str | int | None]
"""From the text of a question to the grader's reply, to an HTTP status, or to None: a body without choices."""


class GraderServer(ThreadingHTTPServer):
    """A grader that speaks chat completions, and fails on what it is told to fail on; it keeps the text of every question."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
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
