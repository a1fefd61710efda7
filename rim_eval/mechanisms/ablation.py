"""Ablation: heads and neurons set to zero or to their mean while the model runs.

    with ablate_neurons(model, [(2, 17), (2, 40)]):
        subject.replies(requests, "no_think")

Everything inside the block, generation too, runs on the ablated model; hooks come off at its end.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import Architecture, architecture_of
from rim_eval.mechanisms._taps import NeuronTap, tap_heads, tap_neurons
from rim_eval.mechanisms.positions import Passage
from rim_eval.mechanisms.subject import pad_left
from rim_eval.mechanisms.units import by_layer

__all__ = ["ablate_heads", "ablate_neurons", "check_units", "mean_heads", "mean_neurons"]

Units = Sequence[tuple[int, int]]
Means = Mapping[int, NDArray[np.float32]]
"""Layer to mean values: heads (heads, head_dim), neurons (neurons,)."""


@contextmanager
def ablate_heads(model: Any, heads: Units, means: Means | None = None) -> Iterator[None]:
    """Replaces the outputs of heads, before the output projection, at every token.

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
    chosen = by_layer(heads)

    def fill(layer: int, indices: list[int]) -> Any:
        shape = (len(indices), parts.head_dim)
        value = torch.zeros(shape) if means is None else torch.tensor(means[layer][indices])

        def use(outputs: Any) -> Any:
            changed = outputs.clone()
            changed[:, :, indices] = value.to(outputs)
            return changed

        return use

    taps = {layer: fill(layer, indices) for layer, indices in chosen.items()}
    with tap_heads(parts, taps):
        yield


@contextmanager
def ablate_neurons(model: Any, neurons: Units, means: Means | None = None) -> Iterator[None]:
    """Replaces MLP activations, the input of the down projection, at every token.

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
    chosen = by_layer(neurons)
    taps = {
        layer: _overwrite(np.array(indices), None if means is None else means[layer])
        for layer, indices in chosen.items()
    }
    with tap_neurons(parts, taps):
        yield


def _overwrite(indices: NDArray[np.int64], means: NDArray[np.float32] | None) -> NeuronTap:
    import torch

    def tap(acts: Any, _tokens: Any, first: int) -> Any:
        here = indices[(indices >= first) & (indices < first + acts.shape[1])]
        if not len(here):
            return None
        values = np.zeros(len(here), np.float32) if means is None else means[here]
        changed = acts.clone()
        changed[:, torch.tensor(here - first, device=acts.device)] = torch.tensor(values).to(acts)
        return changed

    return tap


def check_units(parts: Architecture, neurons: Units = (), heads: Units = ()) -> None:
    """Refuses units that the model does not have.

    Raises:
        RimError: The message names the unit and what there is.
    """
    for what, units in (("neuron", neurons), ("head", heads)):
        for layer, numbers in by_layer(units).items():
            if not 0 <= layer < len(parts.layers):
                raise RimError(
                    f"{what} in layer {layer}: this model has layers 0 to {len(parts.layers) - 1}."
                )
            width = parts.neurons(layer) if what == "neuron" else parts.heads
            if numbers[0] < 0 or numbers[-1] >= width:
                raise RimError(
                    f"{what}s {numbers} of layer {layer}: they run from 0 to {width - 1} there."
                )


def mean_heads(model: Any, passages: Sequence[Passage]) -> dict[int, NDArray[np.float32]]:
    """Mean output of every head over all tokens of the passages.

    Returns:
        Layer to means, shape (heads, head_dim).
    """
    parts = architecture_of(model)
    sums = {x: np.zeros((parts.heads, parts.head_dim)) for x in range(len(parts.layers))}
    weights: list[Any] = [None]

    def add(layer: int) -> Any:
        def use(outputs: Any) -> None:
            total = (outputs.float() * weights[0][..., None, None]).sum((0, 1))
            sums[layer] += total.cpu().numpy()

        return use

    with tap_heads(parts, {layer: add(layer) for layer in sums}):
        count = _run(parts, model, passages, weights)
    return {layer: (total / count).astype(np.float32) for layer, total in sums.items()}


def mean_neurons(model: Any, passages: Sequence[Passage]) -> dict[int, NDArray[np.float32]]:
    """Mean activation of every neuron over all tokens of the passages (0 where not routed).

    Returns:
        Layer to means, shape (neurons,).
    """
    parts = architecture_of(model)
    sums = {x: np.zeros(parts.neurons(x)) for x in range(len(parts.layers))}
    weights: list[Any] = [None]

    def add(layer: int) -> NeuronTap:
        def tap(acts: Any, tokens: Any, first: int) -> None:
            total = (acts.float() * weights[0].flatten()[tokens][:, None]).sum(0)
            sums[layer][first : first + acts.shape[1]] += total.cpu().numpy()

        return tap

    with tap_neurons(parts, {layer: add(layer) for layer in sums}):
        count = _run(parts, model, passages, weights)
    return {layer: (total / count).astype(np.float32) for layer, total in sums.items()}


def _run(parts: Architecture, model: Any, passages: Sequence[Passage], weights: list[Any]) -> int:
    """Runs the passages one batch of 16 at a time; returns the tokens read, padding left out."""
    import torch

    count = 0
    ordered = sorted(passages, key=lambda passage: len(passage.ids))
    for start in range(0, len(ordered), 16):
        rows = [passage.ids for passage in ordered[start : start + 16]]
        ids, mask = pad_left(rows, 0, model.device)
        weights[0] = mask.float()
        count += int(mask.sum())
        with torch.inference_mode():
            parts.base(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp(min=0),
                use_cache=False,
            )
    return count
