"""Attention rows: what one query token attends to, without the whole attention matrix.

The model runs its fast attention; for one query token a sample, the scores over all keys are
computed again from the same queries and keys. That costs O(length) a head where eager attention
keeps O(length^2). Models with soft caps or attention sinks run eager attention instead.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from rim_eval.mechanisms.model import Architecture

_NAME: Final = "rim_eval_rows"

Use = Callable[[Any], None]
"""Called with the attention rows of a layer, shape (batch, heads, keys), float32."""


@contextmanager
def hook_attention_rows(
    model: Any, parts: Architecture, layers: tuple[int, ...], query: Any, use: Use
) -> Iterator[None]:
    """Call `use` with the attention row of one query token a sample, layer by layer.

    Args:
        model: The whole model.
        parts: Its parts.
        layers: Layers to read.
        query: Index of the query token of each sample, shape (batch,).
        use: Receives each layer's rows.
    """
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    modules = [parts.attention[layer] for layer in layers]

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
                stack.callback(interface._global_mapping.pop, _NAME, None)
                interface.register(_NAME, function)
            model.set_attn_implementation(_NAME)
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
        visible = torch.arange(length, device=query.device) <= where[:, None]
        return scores.masked_fill(~visible[:, None], -torch.inf).softmax(-1)
    row = mask[each, :, where]
    if row.dtype == torch.bool:
        return scores.masked_fill(~row, -torch.inf).softmax(-1)
    return (scores + row.float()).softmax(-1)
