"""Taps: plain forward hooks that read or replace activations, and always come off again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from rim_eval.mechanisms._architecture import Architecture

__all__ = ["NeuronTap", "tap_blocks", "tap_heads", "tap_neurons"]

NeuronTap = Callable[[Any, Any, int], Any]
"""Called with activations (rows, width), the flat token index of each row (rows,), and the index of
the first neuron; returns what to use instead, or None. A dense layer calls it once a pass with
all tokens, a layer of experts once per expert with the tokens routed to it, and once for its shared
expert with all tokens."""


@contextmanager
def tap_blocks(modules: Mapping[Any, Callable[[Any], Any]]) -> Iterator[None]:
    """Calls a function with the output tensor of each module; what it returns takes its place.

    Args:
        modules: Module to function; the function may return None to leave the output alone.
    """
    with ExitStack() as stack:
        for module, use in modules.items():

            def hook(_module: Any, _args: Any, output: Any, use: Callable[[Any], Any] = use) -> Any:
                whole = isinstance(output, tuple)
                changed = use(output[0] if whole else output)
                if changed is None:
                    return None
                return (changed, *output[1:]) if whole else changed

            stack.callback(module.register_forward_hook(hook).remove)
        yield


@contextmanager
def tap_heads(parts: Architecture, taps: Mapping[int, Callable[[Any], Any]]) -> Iterator[None]:
    """Calls a function with the heads' outputs of a layer, shape (batch, length, heads, head_dim).

    Args:
        parts: The model's parts.
        taps: Layer to function; it returns what to use instead, or None.
    """
    with ExitStack() as stack:
        for layer, use in taps.items():

            def hook(_module: Any, args: Any, use: Callable[[Any], Any] = use) -> Any:
                apart = args[0].unflatten(-1, (parts.heads, parts.head_dim))
                changed = use(apart)
                return None if changed is None else (changed.flatten(-2), *args[1:])

            stack.callback(parts.outputs[layer].register_forward_pre_hook(hook).remove)
        yield


@contextmanager
def tap_neurons(parts: Architecture, taps: Mapping[int, NeuronTap]) -> Iterator[None]:
    """Calls a `NeuronTap` with the activations of each layer named."""
    with ExitStack() as stack:
        for layer, tap in taps.items():
            routed = parts.routed(layer)
            if parts.downs[layer] is not None:
                stack.enter_context(_tap_dense(parts.downs[layer], tap, routed))
            if routed:
                stack.enter_context(_tap_experts(parts.experts[layer], tap))
        yield


@contextmanager
def _tap_dense(down: Any, tap: NeuronTap, first: int) -> Iterator[None]:
    import torch

    def hook(_module: Any, args: Any) -> Any:
        flat = args[0].flatten(0, -2)
        changed = tap(flat, torch.arange(len(flat), device=flat.device), first)
        return None if changed is None else (changed.view_as(args[0]), *args[1:])

    handle = down.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _tap_experts(experts: Any, tap: NeuronTap) -> Iterator[None]:
    """Fused experts call no module of their own, so their forward pass is replaced for a while.

    Taps nest as hooks do: the later one sees what the earlier one left.
    """
    taps: list[NeuronTap] = vars(experts).setdefault(_TAPS, [])
    if not taps:
        experts.forward = lambda *args: _forward_experts(experts, taps, *args)
    taps.append(tap)
    try:
        yield
    finally:
        taps.remove(tap)
        if not taps:
            del experts.forward


_TAPS: Final = "_rim_eval_taps"


def _forward_experts(
    experts: Any, taps: list[NeuronTap], hidden: Any, chosen: Any, weights: Any
) -> Any:
    import torch

    linear = torch.nn.functional.linear
    width = experts.down_proj.shape[2]
    total = torch.zeros_like(hidden)
    for expert in chosen.unique().tolist():
        if expert >= experts.num_experts:
            continue
        tokens, slot = torch.where(chosen == expert)
        acts = experts._apply_gate(linear(hidden[tokens], experts.gate_up_proj[expert]))
        for tap in taps:
            changed = tap(acts, tokens, expert * width)
            acts = acts if changed is None else changed
        out = linear(acts, experts.down_proj[expert]) * weights[tokens, slot, None]
        total.index_add_(0, tokens, out.to(total.dtype))
    return total
