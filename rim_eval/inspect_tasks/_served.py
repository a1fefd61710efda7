"""The chat template of a server, asked through the addresses where it says what a request becomes."""

import json
from typing import Any

from rim_eval.errors import RimError

__all__ = ["ServedTemplate"]


class ServedTemplate:
    """Renders prompts through vLLM's `/tokenize` and `/detokenize`.

    Looking for a switch renders some 190 prompts, many of them alike: each question is asked once.

    Args:
        root: The server's address without `/v1`.
        name: The model's name on the server.
        api_key: Sent as a bearer token, where one is needed.
    """

    def __init__(self, root: str, name: str, api_key: str | None = None) -> None:
        import httpx

        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(base_url=root, headers=headers, timeout=30)
        self._name = name
        self._replies: dict[str, Any] = {}

    def __call__(self, messages: list[dict[str, Any]], template_kwargs: dict[str, Any]) -> str:
        """The prompt as text.

        Raises:
            RimError: The server's template refuses these messages or words.
            httpx.HTTPError: The server has no such address, or does not answer.
        """
        request = {"messages": messages, "chat_template_kwargs": template_kwargs}
        tokens = self._ask("/tokenize", request | {"add_generation_prompt": True})["tokens"]
        return str(self._ask("/detokenize", {"tokens": tokens})["prompt"])

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        question = path + json.dumps(body, sort_keys=True)
        if question not in self._replies:
            self._replies[question] = self._post(path, body)
        return self._replies[question]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        reply = self._client.post(path, json={"model": self._name, **body})
        if reply.status_code in (400, 422):
            raise RimError(f"The server's chat template refuses a request: {reply.text[:300]}")
        reply.raise_for_status()
        return reply.json()
