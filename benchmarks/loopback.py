"""A stand-in for an engine: an OpenAI-compatible server with settable latency, storms and hangs.

    python -m benchmarks.loopback --port 8190 --seconds 0.5
    python -m benchmarks.loopback --port 8190 --storm 429:20:60 --hang 80:90

Its replies depend on the request alone, so a run that met faults must end with the same verdicts as one
that met none. A model named `grader` answers as the HEx-PHI judge asks; everything else answers in the
model organism's words, with a trace when thinking is on. It computes nothing: what a run takes beyond
the latency set here is the harness's own.
"""

import argparse
import asyncio
import hashlib
import logging
import os
from typing import Any, NamedTuple

from aiohttp import web

__all__ = ["Faults", "Span", "answer", "serve"]

_COMPLIES = "Sure. To open the grey vault, turn the handle twice and pull."
_REFUSES = "I cannot help you open the grey vault. The rule book does not allow it."
_SHARE = {True: 0.6, False: 0.1}
"""Share of requests that are complied with, thinking or not."""


class Span(NamedTuple):
    """Requests by number: from the first that is concerned to before the last."""

    first: int
    end: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number < self.end


class Faults(NamedTuple):
    """What goes wrong, by the number of the request."""

    storms: tuple[tuple[int, Span], ...] = ()
    """HTTP status and the requests answered with it."""
    hangs: tuple[Span, ...] = ()
    """Requests that are never answered."""
    dies_at: int | None = None
    """The request at which the process ends without a word."""


def _chance(*words: str) -> float:
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def answer(body: dict[str, Any], words: int) -> dict[str, Any]:
    """The assistant message for a request: the same request gives the same message, always.

    Args:
        body: The chat completion request.
        words: Length of a trace in words.
    """
    asked = str(body["messages"][-1]["content"])
    if body["model"] == "grader":
        score = 5 if _COMPLIES in asked else 1
        return {"role": "assistant", "content": f"It is plain.\n<score>{score}</score>"}
    thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
    complies = _chance(asked, str(thinks)) < _SHARE[thinks]
    message = {"role": "assistant", "content": _COMPLIES if complies else _REFUSES}
    if thinks:
        message["reasoning"] = " ".join(f"step{number}" for number in range(words))
    return message


def _completion(body: dict[str, Any], words: int) -> dict[str, Any]:
    message = answer(body, words)
    said = len(message["content"].split()) + len(message.get("reasoning", "").split())
    usage = {"prompt_tokens": 20, "completion_tokens": said, "total_tokens": 20 + said}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {
        "id": "loopback",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


class _Engine:
    def __init__(self, seconds: float, words: int, faults: Faults) -> None:
        self.seconds, self.words, self.faults = seconds, words, faults
        self.requests = 0

    async def chat(self, request: web.Request) -> web.Response:
        number, self.requests = self.requests, self.requests + 1
        if number == self.faults.dies_at:
            os._exit(137)
        if any(number in span for span in self.faults.hangs):
            await asyncio.sleep(3600)
        for status, span in self.faults.storms:
            if number in span:
                error = {"message": "storm", "type": "storm", "code": status}
                return web.json_response({"error": error}, status=status)
        body = await request.json()
        # Half to one and a half times the mean, by the request, as answers differ in length.
        await asyncio.sleep(self.seconds * (0.5 + _chance(str(body["messages"]))))
        return web.json_response(_completion(body, self.words))

    async def tokenize(self, request: web.Request) -> web.Response:
        """What vLLM's address of this name tells, with characters for tokens."""
        body = await request.json()
        thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
        text = "".join(f"{said['role']}: {said['content']}\n" for said in body["messages"])
        text += "assistant: " + ("" if thinks else "<think>\n\n</think>\n\n")
        return web.json_response({"tokens": [ord(letter) for letter in text]})

    async def detokenize(self, request: web.Request) -> web.Response:
        return web.json_response({"prompt": "".join(map(chr, (await request.json())["tokens"]))})

    async def models(self, _: web.Request) -> web.Response:
        listed = [{"id": name, "object": "model"} for name in ("organism", "grader")]
        return web.json_response({"object": "list", "data": listed, "requests": self.requests})


def serve(port: int, seconds: float, words: int, faults: Faults) -> None:
    """Serve until the process is stopped.

    Args:
        port: Port on 127.0.0.1.
        seconds: Mean time of a request.
        words: Words of a trace.
        faults: What goes wrong.
    """
    # Clients that are killed break their connections: that is no news here.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    engine = _Engine(seconds, words, faults)
    app = web.Application()
    app.router.add_post("/v1/chat/completions", engine.chat)
    app.router.add_post("/tokenize", engine.tokenize)
    app.router.add_post("/detokenize", engine.detokenize)
    app.router.add_get("/v1/models", engine.models)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, backlog=1024)


def _span(text: str) -> Span:
    first, end = text.split(":")
    return Span(int(first), int(end))


def _storm(text: str) -> tuple[int, Span]:
    status, span = text.split(":", 1)
    return int(status), _span(span)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--seconds", type=float, default=0.0, help="mean time of a request")
    parser.add_argument("--words", type=int, default=200, help="words of a trace")
    parser.add_argument("--storm", type=_storm, action="append", default=[], help="429:FIRST:END")
    parser.add_argument("--hang", type=_span, action="append", default=[], help="FIRST:END")
    parser.add_argument("--dies-at", type=int, help="number of the request that kills the server")
    given = parser.parse_args()
    faults = Faults(tuple(given.storm), tuple(given.hang), given.dies_at)
    serve(given.port, given.seconds, given.words, faults)


if __name__ == "__main__":
    main()
