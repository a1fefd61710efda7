"""Positions: where in a text the paper's named tokens are.

A passage is what the model reads: token ids, and names for stretches of them. Names (a stretch is
half open, `start:stop`; every one but `all` can be missing):

    user        the request                      turn_end    first token after it  (`<|im_end|>`)
    turn_start  token before the role name       assistant   the role name         (`assistant`)
    think       opening marker of the trace      inside      tokens between the markers
    think_end   closing marker                   trace       think, inside and think_end
    last        last token of the prompt: its output is the first generated token
    first       first generated token            reply       all generated tokens
    text        from the request to the end      all         everything
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError

__all__ = ["NAMES", "Passage", "Span", "locate"]

Span = tuple[int, int]
"""Half-open stretch of tokens, counted from the start of the passage without padding."""

NAMES: Final = (
    "user",
    "turn_end",
    "turn_start",
    "assistant",
    "think",
    "inside",
    "think_end",
    "trace",
    "last",
    "first",
    "reply",
    "text",
    "all",
)

# Role names of the reply's turn: ChatML and its kin, Gemma, Phi and OLMo, Mistral and Llama 2.
_ROLE: Final = re.compile(r"assistant|model|\[/INST\]")


class Passage(NamedTuple):
    """A text as the model reads it, with named stretches."""

    ids: tuple[int, ...]
    spans: dict[str, Span]
    id: str = ""
    """The prompt's id, by which passages of two modes pair."""

    def span(self, name: str) -> Span:
        """The named stretch.

        Raises:
            RimError: The passage has no such stretch; the message lists those that it has.
        """
        if name not in self.spans:
            have = ", ".join(self.spans)
            known = f" (known names: {', '.join(NAMES)})" if name not in NAMES else ""
            raise RimError(
                f"Passage {self.id or '(unnamed)'} has no position {name!r}{known}; it has: {have}. "
                "Think mode has `think`, `inside` and `think_end` only once a reply is read with it."
            )
        return self.spans[name]


def locate(
    tokenizer: Any,
    prompt: str,
    user: str,
    reply: Sequence[int] = (),
    *,
    markers: tuple[str, str] = ("<think>", "</think>"),
    id: str = "",
) -> Passage:
    """Tokenizes a prompt, appends a generated reply and names the positions.

    Args:
        tokenizer: A fast Hugging Face tokenizer (it must give character offsets).
        prompt: The rendered prompt, generation prompt included.
        user: The user's request as it stands in the prompt.
        reply: Generated token ids, without what the model added after its end.
        markers: Opening and closing marker of a trace.
        id: Id of the prompt.

    Raises:
        RimError: The tokenizer gives no offsets, or the request does not stand in the prompt.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise RimError(
            "Positions need a fast tokenizer (tokenizer.is_fast): this one has no offsets."
        )
    read = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = [*read["input_ids"]], [*read["offset_mapping"]]
    start = prompt.rfind(user)
    if start < 0:
        raise RimError(
            f"Prompt {id!r}: the request does not stand in the rendered prompt as it is."
        )
    text = prompt
    for token in reply:
        piece = tokenizer.decode([token])
        offsets.append((len(text), len(text) + len(piece)))
        text += piece
    chars = _stretches(text, start, start + len(user), markers)
    spans = {name: _tokens(offsets, *stretch) for name, stretch in chars.items()}
    spans |= _counted(len(ids), len(reply), spans)
    return Passage(
        (*ids, *reply), {name: span for name, span in spans.items() if span[0] < span[1]}, id
    )


def _stretches(text: str, start: int, stop: int, markers: tuple[str, str]) -> dict[str, Span]:
    """Character stretches of everything that is found by its text."""
    found = {"user": (start, stop)}
    role = _ROLE.search(text, stop)
    if role:
        found["assistant"] = role.span()
    opened = text.find(markers[0], role.end() if role else stop)
    if opened >= 0:
        inside = opened + len(markers[0])
        found["think"] = (opened, inside)
        closed = text.find(markers[1], inside)
        end = closed + len(markers[1]) if closed >= 0 else len(text)
        found["inside"] = (inside, closed if closed >= 0 else len(text))
        found["trace"] = (opened, end)
        if closed >= 0:
            found["think_end"] = (closed, end)
    return found


def _tokens(offsets: Sequence[Span], start: int, stop: int) -> Span:
    """Tokens that overlap a stretch of characters."""
    inside = [i for i, (a, b) in enumerate(offsets) if a < stop and b > start]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


def _counted(prompt: int, reply: int, spans: dict[str, Span]) -> dict[str, Span]:
    """Stretches that follow from the others by counting."""
    total, after = prompt + reply, spans["user"][1]
    found = {"last": (prompt - 1, prompt), "text": (spans["user"][0], total), "all": (0, total)}
    found |= {"first": (prompt, prompt + 1), "reply": (prompt, total)} if reply else {}
    role = spans.get("assistant", (0, 0))[0]
    if role and after < role:
        found["turn_end"] = (after, after + 1)
        found["turn_start"] = (role - 1, role)
    return found
