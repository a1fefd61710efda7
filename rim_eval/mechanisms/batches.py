"""Batches: passages in order of length, padded on the left, in fewer at a time when memory runs out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from rim_eval.mechanisms.spans import Passage

Work = Callable[[list[int], Any, Any], None]
"""Called with the indices of a batch's passages, their ids and their attention mask, (batch, length)."""


def in_batches(
    passages: Sequence[Passage],
    device: Any,
    work: Work,
    *,
    tokens: float = math.inf,
    rows: float = math.inf,
    pad: int = 0,
) -> float:
    """Work through passages in order of length; a batch for which memory runs out is halved, and so are all later ones.

    Args:
        passages: Texts to read.
        device: torch device of the batches.
        work: What to do with a batch; it is called again, with fewer passages, where memory ran out.
        tokens: Padded tokens of a batch, at most; a longer passage is a batch of its own.
        rows: Passages of a batch, at most.
        pad: Token to pad with.

    Returns:
        Passages of a batch, at most, that memory held.

    Raises:
        RuntimeError: Memory runs out with one passage (what torch raised), or any other error of `work`.
    """
    from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

    lengths = [len(passage.ids) for passage in passages]
    pending = sorted(range(len(passages)), key=lengths.__getitem__)
    while pending:
        size = _size(pending, lengths, tokens, rows)
        batch = pending[:size]
        try:
            work(batch, *_padded([passages[i].ids for i in batch], device, pad))
        except RuntimeError as error:
            if size == 1 or not should_reduce_batch_size(error):
                raise
            rows = size // 2
        else:
            pending = pending[size:]
            continue
        # Outside the handler, where the traceback no longer holds the tensors.
        clear_device_cache(garbage_collection=True)
    return rows


def _size(pending: Sequence[int], lengths: Sequence[int], tokens: float, rows: float) -> int:
    """How many of the pending passages, in order of length, the next batch takes."""
    size = 1
    while size < min(len(pending), rows) and (size + 1) * lengths[pending[size]] <= tokens:
        size += 1
    return size


def _padded(texts: Sequence[Sequence[int]], device: Any, pad: int) -> tuple[Any, Any]:
    import torch

    length = max(map(len, texts))
    ids = [[pad] * (length - len(text)) + [*text] for text in texts]
    mask = [[0] * (length - len(text)) + [1] * len(text) for text in texts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
