"""Freezing: keep units as they are while everything else trains.

with frozen(model, neurons, optimizer=optimizer):   # a training loop, otherwise unchanged
train()
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rim_eval.mechanisms.model import architecture_of
from rim_eval.mechanisms.units import Units, check_units, head_weights, neuron_weights


@contextmanager
def frozen(
    model: Any, neurons: Units = (), heads: Units = (), *, optimizer: Any = None
) -> Iterator[None]:
    """Keep the weights of units as they are while everything else trains.

    A neuron's weights are its rows of the gate and up projections with their biases, and its column
    of the down projection. A head's are its rows of the query projection and the key and value rows
    that it shares with its group, with their biases and with norms over whole projections (OLMo),
    and its columns of the output projection. What a layer has in common stays free: a bias after
    the down or output projection, a norm that all heads share (Qwen3).

    Args:
        model: The model in training; gradients of the units' weights are zeroed.
        neurons: (layer, neuron) pairs.
        heads: (layer, head) pairs.
        optimizer: A torch optimizer, after whose steps the weights are put back: weight decay and
            momentum move weights without a gradient.

    Raises:
        RimError: The model has no such unit, or its attention's layout is not supported.
    """
    import torch

    parts = architecture_of(model)
    check_units(parts, neurons, heads)
    masks: dict[int, tuple[Any, Any]] = {}
    for weight, index in (*neuron_weights(parts, neurons), *head_weights(model, parts, heads)):
        _, mask = masks.setdefault(id(weight), (weight, torch.zeros_like(weight, dtype=torch.bool)))
        mask[index] = True
    saved = [(weight, mask, weight.detach()[mask].clone()) for weight, mask in masks.values()]

    def restore(*_args: Any) -> None:
        with torch.no_grad():
            for weight, mask, values in saved:
                weight[mask] = values

    with ExitStack() as stack:
        for weight, mask, _ in saved:
            if not weight.requires_grad:
                continue  # it does not train at all
            hook = weight.register_hook(lambda grad, mask=mask: grad.masked_fill(mask, 0))
            stack.callback(hook.remove)
        if optimizer is not None:
            stack.callback(optimizer.register_step_post_hook(restore).remove)
        yield
