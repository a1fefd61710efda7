"""Replies of the model under study, each generated once and kept, whatever stops the run.

A reply is known by the weights, what is done to them at the time, the prompt and the budget. Kept in
a file, what one command generated is there for the next, and for the same one after an interruption.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from rim_eval.files import keep_lines, kept_lines
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.batches import in_batches
from rim_eval.mechanisms.completeness import check_padding
from rim_eval.mechanisms.spans import Passage

BATCH: Final = 128
"""Prompts that are generated at a time, unless memory allows fewer."""


class Reply(NamedTuple):
    """What the model generated."""

    ids: tuple[int, ...]
    """Generated tokens up to and without the end-of-text token."""
    text: str
    """The same as text, markers kept."""
    ended: bool
    """Whether the model stopped by itself, before the token limit."""


class Kept:
    """Values by key: in memory, and in a file of JSON lines where one is named."""

    def __init__(self, path: Path | None = None) -> None:
        """Read what the file holds; a line that was not written to its end is passed over.

        Args:
            path: The file; None to keep in memory only.
        """
        self.path, self._values = path, dict[str, Any]()
        for line in kept_lines(path) if path else ():
            with suppress(ValueError, TypeError):
                key, value = line
                self._values[key] = value
        self._uncounted = set(self._values)

    def __contains__(self, key: str) -> bool:
        """Whether there is a value for a key."""
        return key in self._values

    def get(self, key: str) -> Any:
        """The value for a key; None where there is none."""
        return self._values.get(key)

    def count_from_before(self, keys: Iterable[str]) -> int:
        """How many of these values an earlier run left, each counted at its first use only.

        Args:
            keys: Keys that are used now.
        """
        found = self._uncounted.intersection(keys)
        self._uncounted -= found
        return len(found)

    def add(self, values: dict[str, Any]) -> None:
        """Keep values, at once.

        Raises:
            RimError: The file cannot be written: what comes after would be lost.
        """
        self._values |= values
        if self.path is not None:
            keep_lines(self.path, values.items(), "what follows")


def key_of(*parts: Any) -> str:
    """A short digest of values that JSON takes, by which kept values are found."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def decoding_of(model: Any, tokenizer: Any) -> dict[str, Any]:
    """What decides, beside weights and prompt, which reply is generated, as JSON takes it."""
    settings = model.generation_config.to_diff_dict()
    settings.pop("transformers_version", None)
    return {
        "settings": json.loads(json.dumps(settings, default=str)),
        "end": tokenizer.eos_token_id,
    }


_FIT: Final[WeakKeyDictionary[Any, int]] = WeakKeyDictionary()
"""Prompts that a model's memory held at a time, where it did not hold as many as were asked for."""


def generate(
    model: Any,
    tokenizer: Any,
    passages: Sequence[Passage],
    *,
    max_new_tokens: int,
    min_new_tokens: int | None = None,
    batch: int = BATCH,
    keep: Callable[[dict[int, Reply]], None] = lambda _: None,
) -> list[Reply]:
    """Generate greedy replies, in order. Hooks on the model stay active.

    Args:
        model: A Hugging Face causal language model.
        tokenizer: Its tokenizer.
        passages: Prompts.
        max_new_tokens: Total budget of a reply, trace and answer together.
        min_new_tokens: Tokens before which no reply ends.
        batch: Prompts at a time, after sorting by length; halved when memory runs out.
        keep: Called with each batch's replies, by index, as soon as they are there.

    Raises:
        RimError: There are several prompts at a time, and padding changes what the model computes.
    """
    import torch

    if min(len(passages), batch) > 1:
        check_padding(architecture_of(model))
    configured = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id}.union(
        configured if isinstance(configured, list) else [configured]
    ) - {None}
    pad, replies = next(iter(ends), 0), dict[int, Reply]()

    def reply(indices: list[int], ids: Any, mask: Any) -> None:
        with torch.inference_mode():
            out = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max_new_tokens,
                min_new_tokens=min_new_tokens,
                do_sample=False,
                pad_token_id=pad,
            )
        made = {}
        for i, row in zip(indices, out[:, ids.shape[1] :].tolist(), strict=True):
            tokens = tuple(takewhile(lambda token: token not in ends, row))
            made[i] = Reply(tokens, str(tokenizer.decode(tokens)), len(tokens) < len(row))
        keep(made)
        replies.update(made)

    rows = min(batch, _FIT.get(model, batch))
    fit = in_batches(passages, architecture_of(model).device, reply, rows=rows, pad=pad)
    if fit < rows:
        _FIT[model] = int(fit)
    return [replies[i] for i in range(len(passages))]
