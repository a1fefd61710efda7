"""Ablate heads and neurons of a model, and record activations, with plain forward hooks."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

from rim_eval.organism.facts import Unit

__all__ = ["capture", "set_neurons", "zero_heads"]


@contextmanager
def zero_heads(model: Any, heads: Sequence[Unit]) -> Iterator[None]:
    """Set the outputs of attention heads to 0, before the output projection, at every token."""
    width = model.config.head_dim
    channels = [(layer, head * width + i) for layer, head in heads for i in range(width)]
    with _fixed([(model.model.layers[x].self_attn.o_proj, i) for x, i in channels], 0.0):
        yield


@contextmanager
def set_neurons(model: Any, neurons: Sequence[Unit], value: float = 0.0) -> Iterator[None]:
    """Set MLP activations (the input of the down projection) to a value at every token."""
    with _fixed([(model.model.layers[x].mlp.down_proj, i) for x, i in neurons], value):
        yield


@contextmanager
def capture(model: Any, layers: Sequence[int]) -> Iterator[dict[int, Any]]:
    """Yield a dict that each forward pass fills: layer -> MLP activations (batch, length, n)."""
    activations: dict[int, Any] = {}
    with ExitStack() as stack:
        for layer in layers:

            def keep(_module: Any, args: tuple[Any, ...], layer: int = layer) -> None:
                activations[layer] = args[0]

            handle = model.model.layers[layer].mlp.down_proj.register_forward_pre_hook(keep)
            stack.callback(handle.remove)
        yield activations


@contextmanager
def _fixed(channels: Sequence[tuple[Any, int]], value: float) -> Iterator[None]:
    with ExitStack() as stack:
        for _, group in groupby(
            sorted(channels, key=lambda c: (id(c[0]), c[1])), lambda c: id(c[0])
        ):
            chosen = list(group)
            hook = _overwrite(chosen[0][0], [index for _, index in chosen], value)
            stack.callback(chosen[0][0].register_forward_pre_hook(hook).remove)
        yield


def _overwrite(module: Any, indices: list[int], value: float) -> Any:
    import torch

    mask = torch.ones(module.in_features)
    mask[indices] = 0.0
    filled = (1 - mask) * value

    def hook(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] * mask + filled, *args[1:])

    return hook
