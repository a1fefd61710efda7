"""Ablation: heads and neurons set to zero or to their mean while the model runs.

    with ablate_neurons(model, [(2, 17), (2, 40)]):
        handle.replies(requests, "no_think")

Everything inside the block, generation too, runs on the ablated model; hooks are removed at its end.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rim_eval.mechanisms.capture import Neurons, capture
from rim_eval.mechanisms.hooks import NeuronHook, hook_heads, hook_neurons
from rim_eval.mechanisms.model import architecture_of, padded_batches
from rim_eval.mechanisms.spans import Passage
from rim_eval.mechanisms.units import Units, by_layer, check_units

Means = Mapping[int, NDArray[np.float32]]
"""Layer to mean values: heads (heads, head_dim), neurons (neurons,)."""

_TOKENS: Final = 4096
"""Padded tokens read at a time."""


@contextmanager
def ablate_heads(model: Any, heads: Units, means: Means | None = None) -> Iterator[None]:
    """Replace the outputs of heads, before the output projection, at every token.

        z[l, h] <- 0, or its mean over reference texts

    Args:
        model: A Hugging Face causal language model.
        heads: (layer, head) pairs; none leaves the model as it is.
        means: From `mean_heads`, for mean ablation; None for zero ablation.

    Raises:
        RimError: The model has no such head.
    """
    import torch

    parts = architecture_of(model)
    check_units(parts, heads=heads)

    def overwrite(layer: int, indices: list[int]) -> Callable[[Any], Any]:
        shape = (len(indices), parts.head_dim)
        value = torch.zeros(shape) if means is None else torch.tensor(means[layer][indices])

        def hook(outputs: Any) -> Any:
            changed = outputs.clone()
            changed[:, :, indices] = value.to(outputs)
            return changed

        return hook

    hooks = {layer: overwrite(layer, indices) for layer, indices in by_layer(heads).items()}
    with hook_heads(parts, hooks):
        yield


@contextmanager
def ablate_neurons(model: Any, neurons: Units, means: Means | None = None) -> Iterator[None]:
    """Replace MLP activations, the input of the down projection, at every token.

        a[l, j] <- 0, or its mean over reference texts    (paper section 4.1.2: 0)

    Args:
        model: A Hugging Face causal language model.
        neurons: (layer, neuron) pairs; with experts the neuron index is expert * width + j.
        means: From `mean_neurons`, for mean ablation; None for zero ablation.

    Raises:
        RimError: The model has no such neuron.
    """
    parts = architecture_of(model)
    check_units(parts, neurons)
    hooks = {
        layer: _overwrite_neurons(np.array(indices), None if means is None else means[layer])
        for layer, indices in by_layer(neurons).items()
    }
    with hook_neurons(parts, hooks):
        yield


def _overwrite_neurons(indices: NDArray[np.int64], means: NDArray[np.float32] | None) -> NeuronHook:
    import torch

    def hook(acts: Any, _tokens: Any, first: int) -> Any:
        here = indices[(indices >= first) & (indices < first + acts.shape[1])]
        if not len(here):
            return None
        values = np.zeros(len(here), np.float32) if means is None else means[here]
        changed = acts.clone()
        changed[:, torch.tensor(here - first, device=acts.device)] = torch.tensor(values).to(acts)
        return changed

    return hook


def mean_heads(model: Any, passages: Sequence[Passage]) -> dict[int, NDArray[np.float32]]:
    """Average the output of every head over all tokens of the passages.

    Returns:
        Layer to means, shape (heads, head_dim).
    """
    import torch

    parts = architecture_of(model)
    sums = {x: np.zeros((parts.heads, parts.head_dim)) for x in range(len(parts.layers))}
    count = 0

    def add(layer: int, mask: Any) -> Callable[[Any], None]:
        def hook(outputs: Any) -> None:
            sums[layer] += (outputs.float() * mask[..., None, None]).sum((0, 1)).cpu().numpy()

        return hook

    for _, ids, mask in padded_batches(passages, _TOKENS, model.device):
        count += int(mask.sum())
        hooks = {layer: add(layer, mask) for layer in sums}
        with torch.inference_mode(), hook_heads(parts, hooks):
            parts.run(ids, mask)
    return {layer: (total / count).astype(np.float32) for layer, total in sums.items()}


def mean_neurons(model: Any, passages: Sequence[Passage]) -> dict[int, NDArray[np.float32]]:
    """Average the activation of every neuron over all tokens of the passages (0 where not routed).

    Returns:
        Layer to means, shape (neurons,).
    """
    layers = capture(model, passages, neurons=Neurons("mean", "all")).neurons
    assert layers is not None
    lengths = [len(passage.ids) for passage in passages]
    return {
        layer: np.average(means, axis=0, weights=lengths).astype(np.float32)
        for layer, means in enumerate(layers)
    }
