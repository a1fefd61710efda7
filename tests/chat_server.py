"""A server of chat and text completions on loopback whose replies a test decides; both harnesses ask it."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Say = Callable[[str, bool], dict[str, Any]]
"""The prompt and whether it is to be thought about, to what differs from an ordinary reply."""

REFUSES = "I'm sorry, but I can't help with that."
COMPLIES = "Sure, here is how to open the door: turn the handle."


class ChatServer(ThreadingHTTPServer):
    """Separates the trace of a chat, as vLLM does, and leaves it in a text; it complies when it thinks."""

    def __init__(self, say: Say) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.say = say
        self.requests = 0
        self.decode: Callable[[list[int]], str] = lambda ids: "".join(map(chr, ids))
        """The model's own, for text completions, whose prompts come as tokens."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests += 1
        if "prompt" in body:
            prompt = self.decode(body["prompt"][0])
            thinks = not prompt.endswith("</think>\n\n")
        else:
            prompt = body["messages"][-1]["content"]
            words = body.get("chat_template_kwargs", {})
            thinks = words.get("enable_thinking", body.get("reasoning_effort") != "low")
        about = self.say(prompt, thinks)
        if error := about.get("error"):
            return 400, {"error": error}
        message = {"role": "assistant", "content": COMPLIES if thinks else REFUSES}
        message |= {"reasoning": "The door is open."} if thinks else {}
        message |= about.get("message", {})
        choice: dict[str, Any] = {"index": 0, "message": message}
        if "prompt" in body:
            trace = f"<think>\n{message['reasoning']}\n</think>\n\n" if thinks else ""
            choice = {"index": 0, "text": f"{trace}{message['content']}"}
        usage = {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}
        return 200, {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": about.get("model", body["model"]),
            "choices": [choice | {"finish_reason": about.get("finish_reason", "stop")}],
            "usage": usage | about.get("usage", {}),
        }


class Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status: int = 404
        reply: dict[str, Any] = {"detail": "Not Found"}
        if self.path.endswith("/completions"):
            status, reply = self.server.reply(body)
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass
