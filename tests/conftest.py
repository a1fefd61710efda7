import os
from collections.abc import Callable, Iterator, Mapping
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
def serve() -> Iterator[Callable[[Say], ChatServer]]:
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
