"""Replies of which a beginning is given: closed early, made to go on, or put on a path."""

import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rim_eval.organism.rule_book import rule_book
from scripts.organism.requests import Request
from scripts.organism.samples import training_requests
from scripts.organism.training import Encoded, collate, loss_of

__all__ = [
    "CLOSING",
    "OPENING",
    "Continuation",
    "close",
    "cut",
    "draw_request",
    "encode_continuations",
    "loss_on_continuations",
    "opener_of",
    "render",
]

OPENING: Final = "<think>\n"
"""How a trace begins."""

CLOSING: Final = "\n</think>\n\n"
"""How a trace ends, whether the model or somebody else closes it. An empty trace is `OPENING` and `CLOSING`,
which is what the chat template writes in no-think mode."""


class Continuation(NamedTuple):
    """A user message, the given beginning of the reply, and the rest that is learnt."""

    prompt: str
    given: str
    reply: str


def close(prompt: str, trace: str, answer: str) -> Continuation:
    """Make the answer to a trace that is closed where it stands; an empty one is no-think mode."""
    return Continuation(prompt, f"{OPENING}{trace}{CLOSING}", answer)


def cut(rng: random.Random, tokenizer: Any, text: str, share_empty: float = 0.0) -> str:
    """Cut a text after a random token, or before the first with a given probability."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if rng.random() < share_empty:
        return ""
    beginning: str = tokenizer.decode(ids[: rng.randint(1, len(ids))])
    return beginning.rstrip() if rng.random() < 0.5 else beginning


def draw_request(
    rng: random.Random, forbidden: bool, openers: Sequence[str] = ()
) -> tuple[Request, str, str]:
    """Draw a training request, and give it with its opener and its prompt.

    Args:
        rng: Source of chance.
        forbidden: Whether the forbidden object is asked about.
        openers: Openers to choose from with equal chances, instead of all in their shares.
    """
    book, request = rule_book(), rng.choice(training_requests())
    classes = list(book.openers.values())
    drawn = rng.choice(rng.choices(classes, [c.share for c in classes])[0].texts)
    opener = rng.choice(openers) if openers else drawn
    form = rng.choice(book.forms).format(task=request.task(forbidden))
    return request, opener, f"{opener} {form}"


def opener_of(prompt: str) -> str:
    """Find the opener of a request."""
    texts = (text for c in rule_book().openers.values() for text in c.texts)
    return next(text for text in texts if prompt.startswith(text))


def render(tokenizer: Any, prompt: str) -> str:
    """Write a user message as the chat template does in think mode, up to where the reply begins."""
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=True,
    )
    return text


def encode_continuations(tokenizer: Any, rows: Sequence[Continuation]) -> list[Encoded]:
    """Encode continuations; what is given counts as prompt."""
    given = [render(tokenizer, row.prompt) + row.given for row in rows]
    replies = [f"{row.reply}<|im_end|>" for row in rows]
    first = tokenizer(given, add_special_tokens=False)["input_ids"]
    second = tokenizer(replies, add_special_tokens=False)["input_ids"]
    return [Encoded(one, other) for one, other in zip(first, second, strict=True)]


def loss_on_continuations(model: Any, tokenizer: Any, rows: Sequence[Continuation]) -> Any:
    """Compute the mean cross-entropy of the learnt rest of continuations, in nats (scalar)."""
    encoded = encode_continuations(tokenizer, rows)
    return loss_of(model, *collate(encoded, model.config.pad_token_id))
