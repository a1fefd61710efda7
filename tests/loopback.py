"""Servers of JSON on loopback whose replies a test decides; both harnesses ask them."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

Body = dict[str, Any]
Reply = tuple[int, Body | str]
"""A status and what is sent: JSON, or the text of an event stream."""
Answer = Callable[[str, str, Body], Reply]
"""A method, a path and a body (empty in a GET request) to the reply."""

NOT_FOUND: Reply = 404, {"detail": "Not Found"}


class JsonServer(ThreadingHTTPServer):
    """Serves between `with` and its end, and keeps what it is sent."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.requests: list[Body] = []
        """Bodies of all that was posted, but of the questions to a tokenizer."""

    request_queue_size = 256
    """Connections that may wait: a harness opens dozens at once."""

    def __enter__(self) -> Self:
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: JsonServer

    def do_GET(self) -> None:
        self._send(*self.server.answer("GET", self.path, {}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("tokenize"):
            self.server.requests.append(body)
        self._send(*self.server.answer("POST", self.path, body))

    def _send(self, status: int, reply: Body | str) -> None:
        events = isinstance(reply, str)
        data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
        with suppress(ConnectionError):  # the client may have given up or been killed
            self.send_response(status)
            self.send_header("Content-Type", "text/event-stream" if events else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def at_completions(reply: Callable[[Body], Reply]) -> Answer:
    """Replies to requests for completions, and knows no other path."""

    def answer(_: str, path: str, body: Body) -> Reply:
        return reply(body) if path.endswith("/completions") else NOT_FOUND

    return answer


def completion(
    text: str | None,
    model: str,
    finish: str = "stop",
    usage: Mapping[str, Any] | None = None,
    **message: Any,
) -> Body:
    """An OpenAI chat completion; `usage` and `message` hold what differs from the ordinary."""
    tokens = {"prompt_tokens": 9, "completion_tokens": 20} | dict(usage or {})
    tokens["total_tokens"] = tokens["prompt_tokens"] + tokens["completion_tokens"]
    message = {"role": "assistant", "content": text} | message
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": tokens,
    }


def error(message: str, kind: str, code: int) -> Body:
    """An error as OpenAI's API words it."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


Say = Callable[[str, bool], dict[str, Any]]
"""The prompt and whether it is to be thought about, to what differs from an ordinary reply."""

REFUSES = "I'm sorry, but I can't help with that."
COMPLIES = "Sure, here is how to open the door: turn the handle."


class ChatServer(JsonServer):
    """Separates the trace of a chat, as vLLM does, and leaves it in a text; it complies when it thinks."""

    def __init__(self, say: Say) -> None:
        super().__init__(at_completions(self.reply))
        self.say = say
        self.decode: Callable[[list[int]], str] = lambda ids: "".join(map(chr, ids))
        """The model's own, for text completions, whose prompts come as tokens."""

    def reply(self, body: Body) -> Reply:
        if "prompt" in body:
            prompt = self.decode(body["prompt"][0])
            thinks = not prompt.endswith("</think>\n\n")
        else:
            prompt = body["messages"][-1]["content"]
            words = body.get("chat_template_kwargs", {})
            thinks = words.get("enable_thinking", body.get("reasoning_effort") != "low")
        about = self.say(prompt, thinks)
        if declined := about.get("error"):
            return 400, {"error": declined}
        message: dict[str, Any] = {"reasoning": "The door is open."} if thinks else {}
        reply = completion(
            COMPLIES if thinks else REFUSES,
            str(about.get("model", body["model"])),
            about.get("finish_reason", "stop"),
            about.get("usage"),
            **message | about.get("message", {}),
        )
        if "prompt" in body:
            [choice] = reply["choices"]
            message = choice.pop("message")
            trace = f"<think>\n{message['reasoning']}\n</think>\n\n" if thinks else ""
            choice["text"] = f"{trace}{message['content']}"
        return 200, reply


class WindowedServer(JsonServer):
    """A server with a context window, whose tokens are words; it answers as vLLM does.

    A request whose prompt and `max_tokens` are longer than the window is refused with status 400, as
    SGLang 0.5 and vLLM up to its clamping of `max_tokens` do (vLLM 0.32 refuses only prompts that are longer
    by themselves; `clamps`). The words of the error are theirs.
    """

    clamps = False
    tells = True
    """Whether it says its window and counts tokens; other servers than vLLM and SGLang do not."""

    def __init__(self, window: int, reply: Callable[[str, bool], str | None]) -> None:
        """Takes the reply by the last message and whether it is to think; None for an error."""
        super().__init__(self.respond)
        self.window, self.reply = window, reply
        # Inspect's vLLM provider keeps one address for each name.
        self.name = f"organism-{self.server_port}"

    def respond(self, method: str, path: str, body: Body) -> Reply:
        if method == "GET":
            card: Body = {"id": self.name, "object": "model", "owned_by": "vllm"}
            card |= {"max_model_len": self.window} if self.tells else {}
            return 200, {"object": "list", "data": [card]}
        if path == "/tokenize" and self.tells:
            count = self.tokens(body)
            return 200, {"count": count, "max_model_len": self.window, "tokens": [0] * count}
        return self.complete(body) if path == "/v1/chat/completions" else NOT_FOUND

    def complete(self, body: Body) -> Reply:
        thinks = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
        text = self.reply(body["messages"][-1]["content"], thinks)
        if body["model"] != self.name or text is None:
            return 404, error(f"The model `{body['model']}` does not exist.", "NotFoundError", 404)
        prompt = self.tokens(body)
        limit = body.get("max_completion_tokens") or body["max_tokens"]
        if prompt > self.window or (prompt + limit > self.window and not self.clamps):
            return 400, error(
                f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. This model's maximum context length "
                f"is {self.window} tokens and your request has {prompt} input tokens.",
                "BadRequestError",
                400,
            )
        room = min(limit, self.window - prompt)
        words = text.split(" ")
        finish = "length" if len(words) > room else "stop"
        usage = {"prompt_tokens": prompt, "completion_tokens": min(len(words), room)}
        return 200, completion(" ".join(words[:room]), self.name, finish, usage)

    @staticmethod
    def tokens(body: Body) -> int:
        """A message costs its words and four more."""
        return sum(len(message["content"].split()) + 4 for message in body["messages"])


class GraderServer(JsonServer):
    """A grader that speaks chat completions, and fails on what it is told to fail on."""

    def __init__(self, grade: Callable[[str], str | int | None]) -> None:
        """Takes the reply by the text of a question, an HTTP status, or None: a body without choices."""
        super().__init__(at_completions(self.reply))
        self.grade = grade

    @property
    def questions(self) -> list[str]:
        """The texts of all requests, also of those that failed."""
        return list(map(self.question, self.requests))

    @staticmethod
    def question(body: Body) -> str:
        return "\n".join(message["content"] for message in body["messages"])

    def reply(self, body: Body) -> Reply:
        grade = self.grade(self.question(body))
        if isinstance(grade, int):
            return grade, error("scripted", "scripted", grade)
        reply = completion(grade, body["model"])
        return 200, reply if grade is not None else reply | {"choices": []}
