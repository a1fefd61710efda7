"""Attention rows: what one query token attends to, without the whole attention matrix.

The model runs on its fast attention; for the asked query alone, scores over all keys are computed
again from the same queries and keys. That costs O(length) a head where eager attention keeps
O(length^2). Models whose attention has a form of its own (soft caps, sinks) run eagerly instead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from rim_eval.mechanisms._architecture import Architecture

__all__ = ["watch_rows"]

_NAME: Final = "rim_eval_rows"

Use = Callable[[int, Any], None]
"""Called with a layer and its attention rows, shape (batch, heads, keys), float32."""


@contextmanager
def watch_rows(
    model: Any, parts: Architecture, layers: tuple[int, ...], queries: list[Any], use: Use
) -> Iterator[None]:
    """Hands the attention row of one query a sample to `use`, layer by layer.

    Args:
        model: The whole model.
        parts: Its parts.
        layers: Layers to look at.
        queries: A list whose only item is the query index of each sample, shape (batch,); it may
            be changed between passes.
        use: Receives each layer's rows.
    """
    before = model.config._attn_implementation
    wanted = {id(parts.attention[layer]): layer for layer in layers}
    if _plain(model):
        _register(lambda module, row: use(wanted[id(module)], row), wanted, queries)
        model.set_attn_implementation(_NAME)
        try:
            yield
        finally:
            model.set_attn_implementation(before)
            _forget()
        return
    model.set_attn_implementation("eager")
    try:
        with _eager_rows(parts, layers, queries, use):
            yield
    finally:
        model.set_attn_implementation(before)


def _plain(model: Any) -> bool:
    config = model.config.get_text_config()
    own = getattr(config, "attn_logit_softcapping", None) is not None
    sinks = any(name.endswith("self_attn.sinks") for name, _ in model.named_parameters())
    return bool(model._supports_sdpa and model._can_set_attn_implementation()) and not (
        own or sinks
    )


def _register(keep: Callable[[Any, Any], None], wanted: Any, queries: list[Any]) -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, **words: Any) -> Any:
        if id(module) in wanted:
            scale = words.get("scaling") or query.shape[-1] ** -0.5
            keep(module, _row(query, key, mask, queries[0], scale))
        return sdpa_attention_forward(module, query, key, value, mask, **words)

    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, sdpa_mask)


def _forget() -> None:
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
        seen = torch.arange(length, device=query.device) <= where[:, None]
        return scores.masked_fill(~seen[:, None], -torch.inf).softmax(-1)
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
