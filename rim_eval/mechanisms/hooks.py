"""Forward hooks that read or replace activations inside a `with` block, and are always removed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import (
    Architecture,
    UnitKind,
    architecture_of,
    is_linear,
)
from rim_eval.mechanisms.attention import eager_attention, is_replaceable, seen_attention
from rim_eval.mechanisms.completeness import check_complete
from rim_eval.mechanisms.experts import hook_experts

UnitHook = Callable[[Any, Any, int], Any]
"""Called with activations, shape (rows, neurons) or (rows, heads, head_dim), the flat token index of
each row (rows,), and the number of the first unit; returns what to use instead, or None. A dense
layer calls it once a pass with all tokens, a layer of experts once per expert with the tokens routed
to it, and once for its shared expert with all tokens."""


@contextmanager
def hook_blocks(modules: Mapping[Any, Callable[[Any], Any]]) -> Iterator[None]:
    """Call a function with the output tensor of each module; its return value replaces it.

    Args:
        modules: Module to function; the function may return None to leave the output alone.
    """

    def hook(_module: Any, _args: Any, output: Any, use: Callable[[Any], Any]) -> Any:
        is_several = isinstance(output, (tuple, list))
        changed = use(output[0] if is_several else output)
        if changed is None:
            return None
        return type(output)((changed, *output[1:])) if is_several else changed

    with ExitStack() as stack:
        for module, use in modules.items():
            stack.callback(module.register_forward_hook(partial(hook, use=use)).remove)
        yield


@contextmanager
def hook_units(
    parts: Architecture, kind: UnitKind, hooks: Mapping[int, UnitHook]
) -> Iterator[None]:
    """Call a `UnitHook` with the heads' outputs or the neurons' activations of each given layer.

    Args:
        parts: The model's parts.
        kind: Which units.
        hooks: Layer to function.

    Raises:
        RimError: The units of this model cannot be found, or not all of them.
    """
    import torch

    def pre_hook(_module: Any, args: Any, use: UnitHook, first: int, shape: tuple[int, ...]) -> Any:
        acts = args[0].flatten(0, -2).unflatten(-1, shape)
        changed = use(acts, torch.arange(len(acts), device=acts.device), first)
        return None if changed is None else (changed.reshape(args[0].shape), *args[1:])

    check_complete(parts, kind)
    with ExitStack() as stack:
        for layer, use in hooks.items():
            modules: list[tuple[Any, int, tuple[int, ...]]]
            if kind == "head":
                modules = [(parts.outputs[layer], 0, (parts.heads[layer], parts.head_dims[layer]))]
            else:
                modules = [(each.module, each.first, (-1,)) for each in parts.downs[layer]]
            for module, first, shape in modules:
                if kind == "neuron" and not is_linear(module):
                    stack.enter_context(hook_experts(module, partial(_shifted, use=use, by=first)))
                elif module is not None:
                    hook = partial(pre_hook, use=use, first=first, shape=shape)
                    stack.callback(module.register_forward_pre_hook(hook).remove)
        yield


def _shifted(acts: Any, tokens: Any, first: int, use: UnitHook, by: int) -> Any:
    return use(acts, tokens, first + by)


@contextmanager
def hook_attention_rows(
    model: Any, layers: Sequence[int], query: Any, use: Callable[[int, Any], None]
) -> Iterator[None]:
    """Call a function with the attention row of one query token a sample, layer by layer.

    The model runs its fast attention; for the query tokens alone, the scores over all keys are
    computed again from the same queries and keys. That costs O(length) a head where eager attention
    keeps O(length^2). Models with soft caps or attention sinks run eager attention instead.

    Args:
        model: A Hugging Face causal language model.
        layers: Layers to read; those without attention are passed over.
        query: Index of the query token of each sample, shape (batch,).
        use: Receives a layer and its rows, shape (batch, heads, keys), float32.

    Raises:
        RimError: The model has no heads, or a layer's attention gives no such rows.
    """
    import torch

    parts = architecture_of(model)
    counts = parts.unit_counts("head")
    if not any(counts):
        raise parts.refusal("head", f"{type(parts.base).__name__} has no softmax attention.")
    wanted: dict[Any, int] = {parts.attention[layer]: layer for layer in layers if counts[layer]}
    missing = set(wanted.values())

    def give(layer: int, rows: Any) -> None:
        if rows.shape[1] != counts[layer]:
            raise RimError(
                f"Layer {layer} has {counts[layer]} heads and {rows.shape[1]} attention maps: which "
                "belong together is not known, so the heads of this model are not read."
            )
        missing.discard(layer)
        use(layer, rows)

    def attend(module: Any, queries: Any, keys: Any, mask: Any, scale: float) -> None:
        if module in wanted:
            give(wanted[module], _row(queries, keys, mask, query.to(queries.device), scale))

    def ask(_module: Any, args: Any, options: Any) -> Any:
        # Falcon and BLOOM keep their weights only where they are asked for.
        return args, options | {
            "output_attentions": True
        } if "output_attentions" in options else options

    def eager(module: Any, _args: Any, output: Any) -> None:
        weights: Any = output[1] if len(output) > 1 else None
        if getattr(weights, "ndim", 0) == 4:
            each = torch.arange(len(weights), device=weights.device)
            give(wanted[module], weights[each, :, query.to(weights.device)].float())

    with ExitStack() as stack:
        if is_replaceable(model):
            stack.enter_context(seen_attention(model, attend))
        else:
            stack.enter_context(eager_attention(model))
            for module in wanted:
                stack.callback(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(eager).remove)
        yield
    if missing:
        raise RimError(
            f"{type(parts.attention[min(missing)]).__name__} gives no attention weights in layer "
            f"{min(missing)}, so heads of this model are not searched. Its neurons and probes may be."
        )


def _row(query: Any, key: Any, mask: Any, where: Any, scale: float) -> Any:
    """softmax(q k^T * scale) of one query a sample, shape (batch, heads, keys)."""
    import torch

    batch, heads, length, width = query.shape
    each = torch.arange(batch, device=query.device)
    q = query[each, :, where].view(batch, key.shape[1], heads // key.shape[1], width)
    scores = torch.einsum("bgrd,bgkd->bgrk", q.float(), key.float()) * scale
    scores = scores.reshape(batch, heads, -1)
    if mask is None:
        row = (torch.arange(length, device=query.device) <= where[:, None])[:, None]
    else:
        row = mask[each, :, where]
    if row.dtype == torch.bool:
        return scores.masked_fill(~row, -torch.inf).softmax(-1)
    return (scores + row.float()).softmax(-1)
