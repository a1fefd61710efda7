"""Forward hooks that read or replace activations inside a `with` block, and are always removed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

from rim_eval.mechanisms.architecture import Architecture, UnitKind, architecture_of

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
        is_tuple = isinstance(output, tuple)
        changed = use(output[0] if is_tuple else output)
        if changed is None:
            return None
        return (changed, *output[1:]) if is_tuple else changed

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
    """
    import torch

    is_head = kind == "head"
    shape = (parts.heads, parts.head_dim) if is_head else (-1,)

    def pre_hook(_module: Any, args: Any, use: UnitHook, first: int) -> Any:
        acts = args[0].flatten(0, -2).unflatten(-1, shape)
        changed = use(acts, torch.arange(len(acts), device=acts.device), first)
        return None if changed is None else (changed.reshape(args[0].shape), *args[1:])

    with ExitStack() as stack:
        for layer, use in hooks.items():
            routed = 0 if is_head else parts.routed(layer)
            module = (parts.outputs if is_head else parts.downs)[layer]
            if module is not None:
                hook = partial(pre_hook, use=use, first=routed)
                stack.callback(module.register_forward_pre_hook(hook).remove)
            if routed:
                stack.enter_context(_hook_experts(parts.experts[layer], use))
        yield


@contextmanager
def _hook_experts(experts: Any, use: UnitHook) -> Iterator[None]:
    """Replace the forward pass of fused experts, which call no module that could be hooked.

    Nested calls chain as hooks do: the later one receives what the earlier one returned.
    """
    active: list[UnitHook] = vars(experts).setdefault("_rim_eval_unit_hooks", [])
    if not active:
        experts.forward = lambda *args: _forward_experts(experts, active, *args)
    active.append(use)
    try:
        yield
    finally:
        active.remove(use)
        if not active:
            del experts.forward


def _forward_experts(
    experts: Any, active: list[UnitHook], hidden: Any, chosen: Any, weights: Any
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
        for use in active:
            changed = use(acts, tokens, expert * width)
            acts = acts if changed is None else changed
        out = linear(acts, experts.down_proj[expert]) * weights[tokens, slot, None]
        total.index_add_(0, tokens, out.to(total.dtype))
    return total


_ATTENTION_NAME: Final = "rim_eval_rows"


@contextmanager
def hook_attention_rows(
    model: Any, layers: Sequence[int], query: Any, use: Callable[[Any], None]
) -> Iterator[None]:
    """Call a function with the attention row of one query token a sample, layer by layer.

    The model runs its fast attention; for the query tokens alone, the scores over all keys are
    computed again from the same queries and keys. That costs O(length) a head where eager attention
    keeps O(length^2). Models with soft caps or attention sinks run eager attention instead.

    Args:
        model: A Hugging Face causal language model.
        layers: Layers to read.
        query: Index of the query token of each sample, shape (batch,).
        use: Receives each layer's rows, shape (batch, heads, keys), float32.
    """
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    attention = architecture_of(model).attention
    modules = [attention[layer] for layer in layers]

    def attend(module: Any, q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
        if any(module is each for each in modules):
            use(_row(q, k, mask, query, options.get("scaling") or q.shape[-1] ** -0.5))
        return sdpa_attention_forward(module, q, k, v, mask, **options)

    def eager(_module: Any, _args: Any, output: Any) -> None:
        weights = output[1]
        use(weights[torch.arange(len(weights), device=weights.device), :, query].float())

    config = model.config.get_text_config()
    soft_caps = getattr(config, "attn_logit_softcapping", None) is not None
    sinks = any(name.endswith("self_attn.sinks") for name, _ in model.named_parameters())
    replaceable = model._supports_sdpa and model._can_set_attn_implementation()
    with ExitStack() as stack:
        stack.callback(model.set_attn_implementation, model.config._attn_implementation)
        if replaceable and not soft_caps and not sinks:
            for interface, function in (
                (AttentionInterface, attend),
                (AttentionMaskInterface, sdpa_mask),
            ):
                stack.callback(interface._global_mapping.pop, _ATTENTION_NAME, None)
                interface.register(_ATTENTION_NAME, function)
            model.set_attn_implementation(_ATTENTION_NAME)
        else:
            model.set_attn_implementation("eager")
            for module in modules:
                stack.callback(module.register_forward_hook(eager).remove)
        yield


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
