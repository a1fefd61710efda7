"""Attention functions of transformers: one that tells what it is called with, and eager attention."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from rim_eval.errors import RimError

_NAME: Final = "rim_eval"

_CHANGES: Final = ("softcap", "s_aux", "position_bias")
"""Options of attention functions that change the scores."""


def is_replaceable(model: Any) -> bool:
    """Whether another attention function can be given to the model without changing what it computes."""
    soft_caps = getattr(model.config.get_text_config(), "attn_logit_softcapping", None) is not None
    sinks = any(name.endswith(".sinks") for name, _ in model.named_parameters())
    return (
        model._supports_sdpa
        and model._can_set_attn_implementation()
        and not soft_caps
        and not sinks
    )


@contextmanager
def eager_attention(model: Any) -> Iterator[None]:
    """Let a model run eager attention, which keeps its weights."""
    configs = {id(each): each for each in (model.config, model.config.get_text_config())}.values()
    before = [each._attn_implementation for each in configs]
    try:
        for each in configs:
            each._attn_implementation = "eager"
        yield
    finally:
        for each, how in zip(configs, before, strict=True):
            each._attn_implementation = how


@contextmanager
def seen_attention(
    model: Any,
    use: Callable[[Any, Any, Any, Any, float], None],
    change: Callable[[Any, Any], Any] | None = None,
) -> Iterator[None]:
    """Let a model run SDPA attention, and see every call of it.

    Args:
        model: A model that `is_replaceable`.
        use: Called with the module, its queries and keys, shape (batch, heads, length, width), the mask,
            and the scale of the scores.
        change: Called with the module and its output, shape (batch, length, heads, width); returns
            what to use instead.

    Raises:
        RimError: Something is handed to the attention function that changes its scores.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
    ) -> Any:
        changes = [name for name in _CHANGES if options.get(name) is not None]
        if changes:
            raise RimError(
                f"{type(module).__name__} changes its attention scores ({', '.join(changes)}), so the "
                "heads of this model are not read. Its neurons and probes may be."
            )
        use(module, query, key, attention_mask, options.get("scaling") or query.shape[-1] ** -0.5)
        output, weights = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return (output if change is None else change(module, output)), weights

    with ExitStack() as stack:
        stack.callback(model.set_attn_implementation, model.config._attn_implementation)
        for interface, function in (
            (AttentionInterface, attend),
            (AttentionMaskInterface, sdpa_mask),
        ):
            stack.callback(interface._global_mapping.pop, _NAME, None)
            interface.register(_NAME, function)
        model.set_attn_implementation(_NAME)
        yield
