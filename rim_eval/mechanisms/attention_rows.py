"""Attention rows: what one query token attends to, without the whole attention matrix.

The model runs its fast attention; for one query token a sample, the scores over all keys are
computed again from the same queries and keys. That costs O(length) a head where eager attention
keeps O(length^2). Models with soft caps or attention sinks run eager attention instead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rim_eval.mechanisms.model import Architecture

__all__ = ["hook_attention_rows"]

_NAME: Final = "rim_eval_rows"

Use = Callable[[int, Any], None]
"""Called with a layer and its attention rows, shape (batch, heads, keys), float32."""


@contextmanager
def hook_attention_rows(
    model: Any, parts: Architecture, layers: tuple[int, ...], queries: list[Any], use: Use
) -> Iterator[None]:
    """Call `use` with the attention row of one query token a sample, layer by layer.

    Args:
        model: The whole model.
        parts: Its parts.
        layers: Layers to read.
        queries: A list whose only item is the query index of each sample, shape (batch,); it may
            be changed between passes.
        use: Receives each layer's rows.
    """
    before = model.config._attn_implementation
    wanted = {id(parts.attention[layer]): layer for layer in layers}
    if _has_plain_attention(model):
        _register(lambda module, row: use(wanted[id(module)], row), wanted, queries)
        model.set_attn_implementation(_NAME)
        try:
            yield
        finally:
            model.set_attn_implementation(before)
            _unregister()
        return
    model.set_attn_implementation("eager")
    try:
        with _eager_rows(parts, layers, queries, use):
            yield
    finally:
        model.set_attn_implementation(before)


def _has_plain_attention(model: Any) -> bool:
    config = model.config.get_text_config()
    soft_caps = getattr(config, "attn_logit_softcapping", None) is not None
    sinks = any(name.endswith("self_attn.sinks") for name, _ in model.named_parameters())
    return bool(model._supports_sdpa and model._can_set_attn_implementation()) and not (
        soft_caps or sinks
    )


def _register(use: Callable[[Any, Any], None], wanted: Any, queries: list[Any]) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **options: Any) -> Any:
        if id(module) in wanted:
            scale = options.get("scaling") or query.shape[-1] ** -0.5
            use(module, _row(query, key, mask, queries[0], scale))
        return sdpa_attention_forward(module, query, key, value, mask, **options)

    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)


def _unregister() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    for interface in (AttentionInterface, AttentionMaskInterface):
        interface._global_mapping.pop(_NAME, None)


def _row(query: Any, key: Any, mask: Any, where: Any, scale: float) -> Any:
    """softmax(q k^T * scale) of one query a sample, shape (batch, heads, keys)."""
    import torch

    batch, heads, length, width = query.shape
    each = torch.arange(batch, device=query.device)
    q = query[each, :, where].view(batch, key.shape[1], heads // key.shape[1], width)
    scores = torch.einsum("bgrd,bgkd->bgrk", q.float(), key.float()) * scale
    scores = scores.reshape(batch, heads, -1)
    if mask is None:
        visible = torch.arange(length, device=query.device) <= where[:, None]
        return scores.masked_fill(~visible[:, None], -torch.inf).softmax(-1)
    row = mask[each, :, where]
    if row.dtype == torch.bool:
        return scores.masked_fill(~row, -torch.inf).softmax(-1)
    return (scores + row.float()).softmax(-1)


@contextmanager
def _eager_rows(
    parts: Architecture, layers: tuple[int, ...], queries: list[Any], use: Use
) -> Iterator[None]:
    import torch

    handles = []
    for layer in layers:

        def hook(_module: Any, _args: Any, output: Any, layer: int = layer) -> None:
            weights = output[1]
            each = torch.arange(len(weights), device=weights.device)
            use(layer, weights[each, :, queries[0]].float())

        handles.append(parts.attention[layer].register_forward_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
