"""Token spans: where in a text the tokens lie that the paper names.

A span is half open, `start:stop`; every one but `all` can be missing:

    user        the request                      turn_end    first token after it  (`<|im_end|>`)
    turn_start  mark before the role name        assistant   role name of the reply's turn, or the one
                                                             mark that stands for it (`[/INST]`)
    think       opening marker of the trace      inside      tokens between the markers
    think_end   closing marker                   trace       think, inside and think_end
    last        last token of the prompt: its output is the first generated token
    first       first generated token            reply       all generated tokens
    text        from the request to the end      all         everything
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.turns import Span as Span
from rim_eval.mechanisms.turns import Turn
from rim_eval.thinking import trace_spans

SPAN_NAMES: Final = (
    "user", "turn_end", "turn_start", "assistant", "think", "inside", "think_end", "trace", "last",
    "first", "reply", "text", "all",
)  # fmt: skip


class Passage(NamedTuple):
    """A text as the model reads it, with named token spans."""

    ids: tuple[int, ...]
    spans: dict[str, Span]
    id: str = ""
    """The prompt's id, by which passages of two modes are paired."""

    def span(self, name: str) -> Span:
        """Return the named span.

        Raises:
            RimError: The passage has no such span; the message lists those that it has.
        """
        if name not in self.spans:
            names = f" (known names: {', '.join(SPAN_NAMES)})" if name not in SPAN_NAMES else ""
            raise RimError(
                f"Passage {self.id or '(unnamed)'} has no token span {name!r}{names}; it has: "
                f"{', '.join(self.spans)}. Where the model opens the trace itself, a think-mode prompt "
                "has `think`, `inside` and `think_end` only when it is read together with a reply."
            )
        return self.spans[name]


def locate_spans(tokenizer: Any, turn: Turn, reply: Sequence[int] = (), *, id: str = "") -> Passage:
    """Tokenize a prompt, append a generated reply and locate the named spans.

    The trace is found by the marks of all families that `rim_eval.thinking` knows, in the prompt or in
    the reply; of several traces it is the first. A position that two texts share in one token
    (`?` with a line break) is in the spans of both.

    Args:
        tokenizer: A fast Hugging Face tokenizer (it must give character offsets).
        turn: The rendered prompt, from `read_turn`.
        reply: Generated token ids, up to and without the end-of-text token.
        id: Id of the prompt.

    Raises:
        RimError: The tokenizer gives no offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise RimError(
            "Token spans need a fast tokenizer (tokenizer.is_fast): this one gives no offsets."
        )
    encoded = tokenizer(turn.prompt, add_special_tokens=False, return_offsets_mapping=True)
    pieces = decoded_pieces(tokenizer, reply)
    text = turn.prompt + "".join(piece for piece, _ in pieces)
    offsets = [*encoded["offset_mapping"], *_offsets(pieces, len(turn.prompt))]
    characters = {
        "user": turn.user,
        "turn_end": turn.turn_end,
        "turn_start": turn.turn_start,
        "assistant": turn.role,
        **_trace_characters(text, turn),
    }
    first, total = len(encoded["input_ids"]), len(offsets)
    spans = {
        name: tokens for name, at in characters.items() if at and (tokens := _tokens(offsets, at))
    }
    if "turn_end" in spans:
        start = spans["turn_end"][0]
        spans["turn_end"] = (start, start + 1)
    spans |= {"last": (first - 1, first), "all": (0, total)}
    if "user" in spans:
        spans["text"] = (spans["user"][0], total)
    if reply:
        spans |= {"first": (first, first + 1), "reply": (first, total)}
    return Passage((*encoded["input_ids"], *reply), spans, id)


def _trace_characters(text: str, turn: Turn) -> dict[str, Span]:
    """The first trace of a model's turn, in characters."""
    found = next(iter(trace_spans(text[turn.body :])), None)
    if found is None:
        return {}
    start, begin, end, stop = (turn.body + edge for edge in found)
    if start == begin:  # its opening is not shown: a reply cannot begin in the prompt
        start = begin = min(end, max(begin, len(turn.prompt)))
    edges = {"think": (start, begin), "inside": (begin, end), "think_end": (end, stop)}
    return edges | {"trace": (start, stop)}


def _tokens(offsets: Sequence[Span], characters: Span) -> Span | None:
    """The tokens that hold any of these characters."""
    begin, end = characters
    held = [i for i, (start, stop) in enumerate(offsets) if start < end and stop > begin]
    return (held[0], held[-1] + 1) if held else None


def decoded_pieces(tokenizer: Any, ids: Sequence[int]) -> list[tuple[str, int]]:
    """Decode tokens one after the other, as pieces of text with the number of tokens of each.

    Tokens that hold a character together are one piece; decoded alone, each would be a replacement
    character. A token keeps its leading space, which decoding it alone drops in SentencePiece's manner.

    Args:
        tokenizer: A fast tokenizer.
        ids: The tokens.
    """
    from tokenizers.decoders import DecodeStream

    backend = tokenizer.backend_tokenizer
    stream, start = DecodeStream(skip_special_tokens=False), 0
    pieces = list[tuple[str, int]]()
    for stop, token in enumerate(ids, start=1):
        piece = None
        with suppress(Exception):  # bytes that are no character: begin anew after them
            piece = stream.step(backend, token)
            if piece is None and stop < len(ids):
                continue
        if piece is None:
            piece = backend.decode([*ids[start:stop]], skip_special_tokens=False)
            stream = DecodeStream(skip_special_tokens=False)
        pieces.append((piece, stop - start))
        start = stop
    return pieces


def _offsets(pieces: Sequence[tuple[str, int]], start: int) -> Iterator[Span]:
    for piece, tokens in pieces:
        yield from [(start, start + len(piece))] * tokens
        start += len(piece)
