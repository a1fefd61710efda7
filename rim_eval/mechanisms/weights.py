"""Weights: how far training rewrote what each neuron reads and what it writes.

With v[j] the weights of neuron j in the base and w[j] the same after training, its change is

    c[j] = |w[j] - v[j]| / |v[j]|

once for the outgoing weights, its column of the down projection, and once for the incoming ones,
its rows of the gate and up projections. Activations are read before the down projection, so a
training that rewrites outgoing weights alone leaves them as they were: only this sees it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rim_eval.errors import RimError
from rim_eval.mechanisms._architecture import Architecture, architecture_of
from rim_eval.mechanisms._owned import down_weight, gate_projections

__all__ = ["WeightChange", "relative_change", "weight_change"]

Array = NDArray[np.float64]


class WeightChange(NamedTuple):
    """Relative change of every neuron's weights, layers one after the other; 0 where unchanged."""

    outgoing: Array
    """Shape (neurons,)."""
    incoming: Array
    """Shape (neurons,)."""


def relative_change(base: Sequence[Any], tuned: Sequence[Any]) -> Array:
    """c[j] = |w[j] - v[j]| / |v[j]|, the norms taken over all of a neuron's weights.

    Args:
        base: Tensors of shape (neurons, width), one row a neuron in each of them.
        tuned: The same after training.

    Returns:
        Shape (neurons,), 0 or more; infinite where weights that were 0 are not any more.
    """
    moved = sum((w.float() - v.float()).square().sum(1) for v, w in zip(base, tuned, strict=True))
    before = sum(v.float().square().sum(1) for v in base)
    top, bottom = (side.sqrt().double().cpu().numpy() for side in (moved, before))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.where(top == 0, 0.0, top / bottom)
    return found


def weight_change(base: Any, tuned: Any) -> WeightChange:
    """Change of outgoing and incoming weights of every neuron.

    Args:
        base: The model before training.
        tuned: The same architecture after it.

    Raises:
        RimError: The models differ in shape, or which weights belong to a neuron is not known.
    """
    import torch

    outgoing, incoming = list[Array](), list[Array]()
    with torch.inference_mode():
        for before, after in zip(_stretches(base), _stretches(tuned), strict=True):
            shapes = [[part.shape for side in each for part in side] for each in (before, after)]
            if shapes[0] != shapes[1]:
                raise RimError(
                    "Base and tuned model differ in the shape of their neurons' weights."
                )
            outgoing.append(relative_change(before[0], after[0]))
            incoming.append(relative_change(before[1], after[1]))
    return WeightChange(np.concatenate(outgoing), np.concatenate(incoming))


def _stretches(model: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """What the neurons write and what they read, a row a neuron; experts one after the other."""
    parts = architecture_of(model)
    for layer in range(len(parts.layers)):
        if parts.routed(layer):
            yield from _of_experts(parts.experts[layer])
        if parts.denses[layer] is not None:
            yield _of_dense(parts, layer)


def _of_experts(experts: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    for down, gate_up in zip(experts.down_proj, experts.gate_up_proj, strict=True):
        yield [down.T], [*gate_up.chunk(2)]


def _of_dense(parts: Architecture, layer: int) -> tuple[list[Any], list[Any]]:
    read = [
        part
        for module, copies in gate_projections(parts, layer)
        for part in module.weight.chunk(copies)
    ]
    return [down_weight(parts, layer).T], read
