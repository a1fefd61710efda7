"""The model's context window: prompts and token budgets must fit in it together, or replies are refused or cut.

Checked before the first token. Budgets that nobody chose are made to fit; budgets that the user chose
are refused where they do not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from logging import getLogger
from typing import Any, Final, NamedTuple

import httpx

from rim_eval.decoding import Budgets, budgets, budgets_within
from rim_eval.errors import RimError, SettingError
from rim_eval.server_requests import is_transient, send_with_retries
from rim_eval.types import MODES, FrozenModel, Mode, PromptKind

_LOGGER: Final = getLogger(__name__)

_STEP: Final = 128
"""Fitted budgets leave room for prompts up to the next multiple of this, so that two ways to count the
same prompts lead to the same budgets."""

_COUNTED: Final = 8
"""So many of the longest prompts (in bytes) are counted: the longest in tokens is one of them, or nearly."""

_BYTES_PER_TOKEN: Final = 2
"""Careful, for where nothing counts tokens: English has about four bytes a token, formulas and Chinese about three."""

_MODE_TOKENS: Final = 64
"""For what sets the mode (a system text, an empty trace), and for the template where the tokens are estimated."""

_TIMEOUT: Final = 5.0
"""Seconds that a server has to say what it serves."""


class DeclaredWindow(NamedTuple):
    """How many tokens a model takes in one request, and who says so."""

    tokens: int
    """For prompt, trace and answer together."""
    source: str
    """Where that is said, such as `max_model_len of its server`."""
    remedy: str
    """How a longer window is had; `{needed}` stands for its tokens."""
    is_certain: bool = True
    """Whether the user's own budgets are refused by it; a catalogue may be out of date."""


class ContextWindow(FrozenModel):
    """A model's window, and how much of it the longest prompt needs."""

    model: str
    declared: DeclaredWindow
    prompt_tokens: int
    """Of the longest prompt."""

    @property
    def tokens(self) -> int:
        """For prompt, trace and answer together."""
        return self.declared.tokens

    def fit(
        self,
        kind: PromptKind,
        answer_tokens: int | None = None,
        thinking_tokens: int | None = None,
        modes: Sequence[Mode] = MODES,
    ) -> Budgets:
        """The run's budgets: the user's or the usual ones, or others that fit in place of usual ones.

        What is made to fit does not depend on the modes, so that runs of one mode each can be read
        together; it is said once.

        Args:
            kind: Kind of the prompts.
            answer_tokens: The user's answer budget; None for the default.
            thinking_tokens: The user's thinking budget; None for the default.
            modes: Modes that are run: the user's budgets must fit in these.

        Raises:
            RimError: The user's budgets do not fit, or no budgets do.
        """
        wanted = budgets(kind, answer_tokens, thinking_tokens)
        if answer_tokens is not None and thinking_tokens is not None:
            needed = self.prompt_tokens + max(map(wanted.total, modes))
            if self.declared.is_certain and needed > self.tokens:
                raise self._too_small(wanted, modes)
            return wanted
        room = self.tokens - -(-self.prompt_tokens // _STEP) * _STEP
        fitting = budgets_within(room, kind, answer_tokens, thinking_tokens)
        if fitting is None:
            raise self._too_small(wanted, modes)
        if fitting != wanted:
            _warn_once(
                f"{self.model} has room for {self.tokens} tokens ({self.declared.source}), and the usual budgets need more: "
                f"answer_tokens={fitting.answer_tokens} and thinking_tokens={fitting.thinking_tokens} take the place "
                f"of {wanted.answer_tokens} and {wanted.thinking_tokens}. For those, {self._larger(wanted)}."
            )
        return fitting

    def _too_small(self, wanted: Budgets, modes: Sequence[Mode]) -> RimError:
        trace = f" and thinking_tokens={wanted.thinking_tokens}" if "think" in modes else ""
        problem = (
            f"answer_tokens={wanted.answer_tokens}{trace} do not fit: {self.model} has room for {self.tokens} tokens "
            f"({self.declared.source}), and the longest prompt takes {self.prompt_tokens} of them."
        )
        smaller = smaller_budgets(wanted, self.tokens - self.prompt_tokens, modes)
        if smaller is None:
            return RimError(f"{problem} Leave the longest prompts out, or {self._larger(wanted)}.")
        return SettingError(
            f"{problem} Give budgets that fit",
            f", leave the budgets out to have them fitted, or {self._larger(wanted)}",
            **smaller.model_dump(),
        )

    def _larger(self, wanted: Budgets) -> str:
        return self.declared.remedy.format(needed=self.prompt_tokens + wanted.total("think"))


def smaller_budgets(wanted: Budgets, room: int, modes: Sequence[Mode]) -> Budgets | None:
    """Budgets to give in place of ones that do not fit; None where there is no room.

    Args:
        wanted: The budgets that do not fit.
        room: Tokens that the longest prompt leaves free.
        modes: Modes that are run.
    """
    if room < 2:
        return None
    if "think" not in modes:
        return wanted.model_copy(update={"answer_tokens": min(wanted.answer_tokens, room)})
    answer = min(wanted.answer_tokens, room // 2)
    thinking = min(wanted.thinking_tokens, room - answer)
    return Budgets(answer_tokens=answer, thinking_tokens=thinking)


@cache
def _warn_once(text: str) -> None:
    _LOGGER.warning(text)


Chat = list[dict[str, str]]


def longest_prompt(
    messages: Iterable[str],
    write: Callable[[str], Chat],
    count: Callable[[Chat], int | None] | None = None,
) -> int:
    """Tokens of the longest prompt, with an allowance for what sets the mode.

    Args:
        messages: The user messages.
        write: Writes the conversation of one, with the run's system message and the arms' examples.
        count: Counts the tokens of a chat; without it, and where it gives None, they are estimated.
    """
    longest = sorted(messages, key=lambda text: len(text.encode()), reverse=True)[:_COUNTED]
    chats = [write(text) for text in longest]
    sizes = (count(chat) if count is not None else None for chat in chats)
    tokens = (size or estimate_tokens(chat) for size, chat in zip(sizes, chats, strict=True))
    return max(tokens, default=0) + _MODE_TOKENS


def estimate_tokens(chat: Chat) -> int:
    """Tokens of a chat, rather too many, for where nothing counts them: one for every two bytes.

    Args:
        chat: Its messages.
    """
    return sum(len(message["content"].encode()) for message in chat) // _BYTES_PER_TOKEN


def window_of_config(config: Mapping[str, Any]) -> int | None:
    """The window that a Hugging Face `config.json` declares; None where it declares none.

    One stretched by YaRN may be declared by its factor alone, as in Qwen3's model card; other kinds of
    scaling are in the declared positions already (Llama 3.2).
    """
    text = config.get("text_config") or config
    positions = text.get("max_position_embeddings") or text.get("n_positions")
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    is_yarn = "yarn" in (scaling.get("rope_type"), scaling.get("type"))
    if is_yarn and isinstance(factor, int | float) and isinstance(original, int):
        return max(positions or 0, int(factor * original)) or None
    return positions or None


class Server:
    """What an OpenAI-compatible server says of a model before it is asked.

    Args:
        address: Its address, with `/v1`.
        model: The model's name there.
        headers: Sent with each request, such as a bearer token.

    Raises:
        RimError: No server answers there.
    """

    def __init__(self, address: str, model: str, headers: Mapping[str, str] | None = None) -> None:
        self.address, self.model = address.rstrip("/"), model
        self._client = httpx.Client(headers=dict(headers or {}), timeout=_TIMEOUT)
        self._counts = True
        try:
            self._cards = self._read_cards()
        except httpx.TransportError as error:
            raise RimError(
                f"No server answers at {address} ({error}). Start it, or correct the address; nothing was asked."
            ) from None

    def _read_cards(self) -> dict[str, dict[str, Any]]:
        try:
            reply = send_with_retries(lambda: self._client.get(f"{self.address}/models"))
            cards = reply.raise_for_status().json()["data"]
            return {card["id"]: card for card in cards}
        except httpx.HTTPStatusError as error:
            if is_transient(error):
                raise RimError(
                    f"The server at {self.address} does not answer ({error}). See that it serves, and give the "
                    "same command again; nothing was asked."
                ) from None
            return {}  # a server that tells nothing
        except (httpx.TimeoutException, ValueError, KeyError, TypeError):
            return {}

    def refuse_unknown_model(self) -> None:
        """Refuse a model that a vLLM server does not serve; other servers may know more names than they list.

        Raises:
            RimError: The model is not there.
        """
        if self.model in self._cards or not self._cards:
            return
        if all(card.get("owned_by") == "vllm" for card in self._cards.values()):
            raise RimError(
                f"The server at {self.address} does not serve {self.model}: it serves {', '.join(self._cards)}. "
                "Give one of these as the model's name."
            )

    def window(self) -> DeclaredWindow | None:
        """The model's `max_model_len`, as vLLM and SGLang tell it; a LoRA adapter has its base model's."""
        card = self._cards.get(self.model, {})
        base = self._cards.get(card.get("parent") or "", {})
        tokens = card.get("max_model_len") or base.get("max_model_len")
        if not isinstance(tokens, int):
            return None
        remedy = "serve it with --max-model-len {needed} (SGLang: --context-length)"
        return DeclaredWindow(tokens, "max_model_len of its server", remedy)

    def count(self, chat: Chat) -> int | None:
        """Tokens of a chat by the server's `/tokenize` (vLLM, SGLang); None where it has none, and after one failure."""
        if not self._counts:
            return None
        body = {"model": self.model, "messages": chat, "add_generation_prompt": True}
        address = f"{self.address.removesuffix('/v1')}/tokenize"
        try:
            reply = send_with_retries(lambda: self._client.post(address, json=body))
            return int(reply.raise_for_status().json()["count"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            self._counts = False  # each further prompt might wait as long again
            return None
