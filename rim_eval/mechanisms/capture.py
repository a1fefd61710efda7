"""Capture: one forward pass a passage, and of it only what is asked for.

Three readings can be asked for, together or alone:

    residual    residual stream after a layer, mean over a named stretch of tokens
    neurons     MLP activations (the down projection's input), pooled over a stretch
    attention   one query token's attention row in every head: its argmax, its mass on stretches

Passages are sorted by length and padded on the left with their true positions, so that batching
changes nothing but rounding. The pass stops after the last layer that is asked for, and the
language-model head is never computed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import Architecture, architecture_of
from rim_eval.mechanisms._reader import (
    POOLS,
    Attention,
    Capture,
    EnoughError,
    Neurons,
    Pool,
    Reader,
)
from rim_eval.mechanisms.positions import Passage

__all__ = ["Attention", "Capture", "Neurons", "Pool", "capture"]


def capture(
    model: Any,
    passages: Sequence[Passage],
    *,
    residual: Sequence[str] = (),
    neurons: Neurons | None = None,
    attention: Attention | None = None,
    layers: Sequence[int] | None = None,
    tokens_per_batch: int = 4096,
) -> Capture:
    """Reads passages, each in one forward pass.

    Args:
        model: A Hugging Face causal language model.
        passages: What it reads.
        residual: Stretches at which the residual stream is wanted (mean over their tokens).
        neurons: How neurons are pooled, if wanted.
        attention: Query and stretches, if wanted.
        layers: Decoder layers from 0, default all; -1 adds the embedding to `residual`.
        tokens_per_batch: Padded tokens that are read at a time.

    Raises:
        RimError: Nothing is asked for, a layer does not exist, there is no such pooling, or a passage
            lacks a stretch.
    """
    import torch

    parts = architecture_of(model)
    chosen = _layers(parts, layers)
    if not passages or not (residual or neurons or attention):
        raise RimError("capture: give at least one passage and at least one thing to read.")
    if neurons and neurons.pool not in POOLS:
        raise RimError(f"pool={neurons.pool!r}: neurons are pooled by {', '.join(POOLS)}.")
    reader = Reader(parts, chosen, passages, tuple(residual), neurons, attention)
    with torch.inference_mode(), reader.watching(model):
        for batch in _batches([len(passage.ids) for passage in passages], tokens_per_batch):
            reader.begin(batch, model.device)
            try:
                parts.base(
                    input_ids=reader.ids,
                    attention_mask=reader.mask,
                    position_ids=(reader.mask.cumsum(1) - 1).clamp(min=0),
                    use_cache=False,
                )
            except EnoughError:
                continue
    return reader.result()


def _layers(parts: Architecture, layers: Sequence[int] | None) -> tuple[int, ...]:
    count = len(parts.layers)
    if layers is None:
        return tuple(range(count))
    unknown = sorted(layer for layer in layers if not -1 <= layer < count)
    if unknown or not layers:
        raise RimError(
            f"layers={list(layers)}: this model has layers 0 to {count - 1}, and -1 for the embedding."
        )
    return tuple(sorted(set(layers)))


def _batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in order of length, so many at a time that the padded batch keeps to the budget."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > budget:
            yield batch
            batch = []
        batch.append(index)
    yield batch
