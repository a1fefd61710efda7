"""Freezing: keep units as they are while everything else trains.

    with frozen(model, neurons):   # a training loop, otherwise unchanged
        train()

It holds with any optimizer, in transformers' Trainer, and under LoRA, where a unit's weights are W + s B A:
a row of them stays when the row of B stays 0, and a column when the column of A does.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.adapters import lora_layers, plain_model
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.units import Units, check_units, head_weights, neuron_weights


class _Held(NamedTuple):
    """A weight, which part of it is held, and what that part is."""

    weight: Any
    index: Any
    values: Any


@contextmanager
def frozen(model: Any, neurons: Units = (), heads: Units = ()) -> Iterator[None]:
    """Keep the weights of units as they are while everything else trains.

    A neuron's weights are its rows of the gate and up projections with their biases, and its column
    of the down projection. A head's are its rows of the query projection and the key and value rows
    that it shares with its group, with their biases and with norms over whole projections (OLMo),
    and its columns of the output projection. What a layer has in common stays free: a bias after
    the down or output projection, a norm that all heads share (Qwen3).

    Their gradients are 0, and what weight decay or momentum moved is put back after each step of any
    torch optimizer, before each forward pass, and at the end; so no step is computed with moved weights,
    and none is saved after a step of a torch optimizer. Parameters must be whole in this process: not
    sharded as by FSDP or ZeRO-3.

    Args:
        model: The model in training, a PEFT model with plain LoRA too. Make its adapter before: one that
            is added inside is not held.
        neurons: (layer, neuron) pairs.
        heads: (layer, head) pairs.

    Raises:
        RimError: The model has no such unit, its attention's layout is not supported, its units carry an
            adapter of another kind, or one that has changed them already.
    """
    from torch.optim.optimizer import register_optimizer_step_post_hook

    model = plain_model(model)
    parts = architecture_of(model)
    adapted = lora_layers([*(parts.feeds if neurons else ()), *(parts.attention if heads else ())])
    check_units(parts, neurons, heads)
    held: list[_Held] = []
    for weight, index in (*neuron_weights(parts, neurons), *head_weights(model, parts, heads)):
        held.append(_Held(weight, index, weight.detach()[index].clone()))
        if id(weight) in adapted:
            held += _hold_adapter(adapted[id(weight)], index)

    def restore(*_args: Any) -> None:
        for weight, index, values in held:
            # `.data`: a forward pass whose backward pass is still to come may have saved the weight.
            weight.data[index] = values

    with ExitStack() as stack:
        for weight, indices in _by_weight(held):
            hook = weight.register_hook(lambda grad, indices=indices: _cleared(grad, indices))
            stack.callback(hook.remove)
        first = min((layer for layer, _ in (*neurons, *heads)), default=0)
        stack.callback(parts.layers[first].register_forward_pre_hook(restore).remove)
        stack.callback(register_optimizer_step_post_hook(restore).remove)
        stack.callback(restore)
        yield


def _hold_adapter(layer: Any, index: Any) -> Iterator[_Held]:
    """Hold an adapter's part of a unit's weights at 0.

    Raises:
        RimError: It is not 0.
    """
    import torch

    for name, inner in layer.lora_A.items():
        if layer.merged or layer.get_delta_weight(name)[index].any():
            raise RimError(
                f"The adapter {name!r} has already changed what is to be frozen, and cannot hold it while "
                "its factors train. Merge it (model.merge_and_unload()) and train a new one, or freeze "
                "from its first step on."
            )
        # Rows of the product are rows of B, its columns are columns of A.
        weight = layer.lora_B[name].weight if len(index) == 1 else inner.weight
        with torch.no_grad():
            weight[index] = 0
        yield _Held(weight, index, weight.detach()[index].clone())


def _by_weight(held: list[_Held]) -> Iterator[tuple[Any, list[Any]]]:
    """Each weight that trains, with all that is held of it."""
    weights = {id(each.weight): each.weight for each in held if each.weight.requires_grad}
    for key, weight in weights.items():
        yield weight, [each.index for each in held if id(each.weight) == key]


def _cleared(grad: Any, indices: list[Any]) -> Any:
    grad = grad.clone()
    for index in indices:
        grad[index] = 0
    return grad
