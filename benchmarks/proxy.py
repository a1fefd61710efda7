"""A proxy before replicas of an engine that breaks on request: storms of errors, hang-ups, silence.

    python -m benchmarks.proxy --port 8259 --log proxy.jsonl http://127.0.0.1:8250 http://127.0.0.1:8251
    curl -d '{"kind": "429", "seconds": 10}' http://127.0.0.1:8259/storm

Requests go to the replicas in turn and are never sent twice. A replica that is gone is a 502, as behind
nginx. A storm strikes every request that comes within its seconds, whatever its path:

    429, 500    that status, with Retry-After
    hang_up     the replica answers, the client gets half of it and then a closed connection
    hang        no answer, ever: the client has to give up

The log has a line for each request: which replica, what came of it, and for chat completions hashes of
request and reply, by which two replies to one request are compared.
"""

import argparse
import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import aiohttp
from aiohttp import web

__all__ = ["Storm", "reply_text", "serve"]

Kind = Literal["429", "500", "hang_up", "hang"]
RETRY_AFTER = 2
"""Seconds that a client is told to wait."""


class Storm(NamedTuple):
    """What goes wrong, and until when (seconds of the monotonic clock)."""

    kind: Kind
    until: float


def reply_text(body: bytes) -> str | None:
    """Trace and answer of a chat completion; None where it is none."""
    try:
        message = json.loads(body)["choices"][0]["message"]
    except (ValueError, LookupError, TypeError):
        return None
    return json.dumps([message.get("reasoning"), message.get("content")])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class _Proxy:
    def __init__(self, replicas: Sequence[str], log: Path) -> None:
        self.replicas, self.log = replicas, log
        self.numbers = count()
        self.storm: Storm | None = None

    async def start_storm(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["kind"] not in get_args(Kind):
            return web.json_response({"allowed": get_args(Kind)}, status=400)
        self.storm = Storm(body["kind"], time.monotonic() + float(body["seconds"]))
        return web.json_response({})

    async def forward(self, request: web.Request) -> web.StreamResponse:
        storm = self.storm if self.storm and time.monotonic() < self.storm.until else None
        sent = await request.read()
        if storm and storm.kind == "hang":
            self._note(request, sent, outcome="hang")
            await asyncio.sleep(3600)
        if storm and storm.kind in ("429", "500"):
            self._note(request, sent, outcome=storm.kind)
            error = {"message": "storm", "type": "storm", "code": int(storm.kind)}
            headers = {"Retry-After": str(RETRY_AFTER)}
            return web.json_response({"error": error}, status=int(storm.kind), headers=headers)
        return await self._ask(request, sent, hang_up=storm is not None)

    async def _ask(self, request: web.Request, sent: bytes, *, hang_up: bool) -> web.StreamResponse:
        number = next(self.numbers) % len(self.replicas)
        url = f"{self.replicas[number]}{request.rel_url}"
        headers = {"Content-Type": request.content_type, "Authorization": "Bearer none"}
        session: aiohttp.ClientSession = request.app["session"]
        try:
            async with session.request(request.method, url, data=sent, headers=headers) as reply:
                status, body, kind = reply.status, await reply.read(), reply.content_type
        except aiohttp.ClientError:
            self._note(request, sent, replica=number, outcome="gone")
            return web.json_response({"error": {"message": "replica gone"}}, status=502)
        if hang_up:
            self._note(request, sent, replica=number, outcome="hang_up")
            return await self._break_off(request, body, kind)
        text = reply_text(body)
        hashed = {} if text is None else {"reply": _hash(text.encode())}
        self._note(request, sent, replica=number, outcome=str(status), **hashed)
        return web.Response(status=status, body=body, content_type=kind)

    async def _break_off(self, request: web.Request, body: bytes, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Length": str(len(body)), "Content-Type": kind}
        )
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return response

    def _note(self, request: web.Request, sent: bytes, **what: Any) -> None:
        line = {"path": request.path, "request": _hash(sent), **what}
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def serve(port: int, replicas: Sequence[str], log: Path) -> None:
    """Serve until the process is stopped.

    Args:
        port: Port on 127.0.0.1.
        replicas: Addresses of the replicas, without a path.
        log: Where each request is noted.
    """
    # Clients that are killed break their connections: that is no news here.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    proxy = _Proxy(replicas, log)
    app = web.Application(client_max_size=2**26)

    async def session(app: web.Application) -> Any:
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout) as app["session"]:
            yield

    app.cleanup_ctx.append(session)
    app.router.add_post("/storm", proxy.start_storm)
    app.router.add_route("*", "/{path:.*}", proxy.forward)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, backlog=1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("replicas", nargs="+", help="addresses without a path")
    parser.add_argument("--port", type=int, default=8259)
    parser.add_argument("--log", type=Path, required=True, help="JSON lines, one a request")
    given = parser.parse_args()
    serve(given.port, given.replicas, given.log)


if __name__ == "__main__":
    main()
