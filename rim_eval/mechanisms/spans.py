"""Token spans: where in a text the tokens lie that the paper names.

A span is half open, `start:stop`; every one but `all` can be missing:

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

Span = tuple[int, int]
"""Half-open span of tokens, counted from the start of the passage without padding."""

SPAN_NAMES: Final = (
    "user", "turn_end", "turn_start", "assistant", "think", "inside", "think_end", "trace", "last",
    "first", "reply", "text", "all",
)  # fmt: skip

_ROLE: Final = re.compile(r"assistant|model|\[/INST\]")
"""Role names of the reply's turn: ChatML and its kin, Gemma, Phi and OLMo, Mistral and Llama 2."""

_TRACE: Final = re.compile(
    r"(?P<think><think>)(?P<inside>.*?)(?P<think_end></think>|\Z)", re.DOTALL
)


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
                f"{', '.join(self.spans)}. A think-mode prompt has `think`, `inside` and `think_end` "
                "only when it is read together with a reply."
            )
        return self.spans[name]


def locate_spans(
    tokenizer: Any, prompt: str, user: str, reply: Sequence[int] = (), *, id: str = ""
) -> Passage:
    """Tokenize a prompt, append a generated reply and locate the named spans.

    Args:
        tokenizer: A fast Hugging Face tokenizer (it must give character offsets).
        prompt: The rendered prompt, generation prompt included.
        user: The user's request as it stands in the prompt.
        reply: Generated token ids, up to and without the end-of-text token.
        id: Id of the prompt.

    Raises:
        RimError: The tokenizer gives no offsets, or the request is not in the prompt.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise RimError(
            "Token spans need a fast tokenizer (tokenizer.is_fast): this one gives no offsets."
        )
    encoded = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = [*encoded["input_ids"]], [*encoded["offset_mapping"]]
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
    stop = start + len(user)
    role = _ROLE.search(text, stop)
    trace = _TRACE.search(text, role.end() if role else stop)
    characters = {"user": (start, stop)}
    if role:
        characters["assistant"] = role.span()
    if trace:
        characters |= {name: trace.span(name) for name in trace.groupdict()}
        characters["trace"] = trace.span()
    spans: dict[str, Span] = {}
    for name, (begin, end) in characters.items():
        inside = [i for i, (a, b) in enumerate(offsets) if a < end and b > begin]
        spans[name] = (inside[0], inside[-1] + 1) if inside else (0, 0)
    first, total = len(ids), len(ids) + len(reply)
    spans |= {"last": (first - 1, first), "text": (spans["user"][0], total), "all": (0, total)}
    if reply:
        spans |= {"first": (first, first + 1), "reply": (first, total)}
    turn_end, role_start = spans["user"][1], spans.get("assistant", (0, 0))[0]
    if turn_end < role_start:
        spans["turn_end"] = (turn_end, turn_end + 1)
        spans["turn_start"] = (role_start - 1, role_start)
    filled = {name: (begin, end) for name, (begin, end) in spans.items() if begin < end}
    return Passage((*ids, *reply), filled, id)
