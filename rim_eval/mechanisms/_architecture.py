"""Where a decoder keeps its layers, heads and neurons: the one place that knows module names.

Llama, Qwen, Mistral, Phi, OLMo, Gemma and their mixture-of-experts versions agree on the shape:
blocks in a row, an attention output projection that reads the heads side by side, and a down
projection that reads the neurons. Only the names differ.
"""

from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError

__all__ = ["Architecture", "architecture_of"]

_LAYERS: Final = ("layers", "h", "blocks")
_ATTENTION: Final = ("self_attn", "attn", "attention", "self_attention")
_OUT: Final = ("o_proj", "out_proj", "dense", "c_proj")
_MLP: Final = ("mlp", "block_sparse_moe", "feed_forward")
_DOWN: Final = ("down_proj", "fc2", "dense_4h_to_h", "c_proj", "w2")


class Architecture(NamedTuple):
    """The parts of a causal language model that the analyses touch, one entry a layer."""

    base: Any
    """The decoder without its language-model head."""
    layers: tuple[Any, ...]
    attention: tuple[Any, ...]
    outputs: tuple[Any, ...]
    """Attention output projections; the input, shape (..., heads * head_dim), holds the heads."""
    heads: int
    head_dim: int
    mlps: tuple[Any, ...]
    downs: tuple[Any | None, ...]
    """Down projections, whose input (..., neurons) holds the neurons; None where experts are."""
    experts: tuple[Any | None, ...]
    """Fused experts of a mixture-of-experts layer; None in a dense layer."""

    def neurons(self, layer: int) -> int:
        """Neurons of a layer; with experts, experts times their width (expert-major)."""
        experts = self.experts[layer]
        if experts is not None:
            return int(experts.down_proj.shape[0] * experts.down_proj.shape[2])
        return int(_width_in(self.downs[layer]))


def architecture_of(model: Any) -> Architecture:
    """Finds the parts of a causal language model by name.

    Args:
        model: A Hugging Face causal language model.

    Raises:
        RimError: A part has none of the known names; the message says which one.
    """
    base = getattr(model, "base_model", model)
    base = getattr(base, "language_model", base)
    layers = tuple(_one_of(base, _LAYERS, "the list of layers"))
    attention = tuple(_one_of(layer, _ATTENTION, "the attention of a layer") for layer in layers)
    outputs = tuple(_one_of(each, _OUT, "the attention output projection") for each in attention)
    mlps = tuple(_one_of(layer, _MLP, "the MLP of a layer") for layer in layers)
    experts = tuple(_experts_of(mlp) for mlp in mlps)
    downs = tuple(
        None if fused is not None else _one_of(mlp, _DOWN, "the down projection of an MLP")
        for mlp, fused in zip(mlps, experts, strict=True)
    )
    heads = int(model.config.get_text_config().num_attention_heads)
    head_dim = _width_in(outputs[0]) // heads
    return Architecture(base, layers, attention, outputs, heads, head_dim, mlps, downs, experts)


def _one_of(module: Any, names: tuple[str, ...], what: str) -> Any:
    for name in names:
        if hasattr(module, name):
            return getattr(module, name)
    raise RimError(
        f"{type(module).__name__} has none of {', '.join(names)}: {what} cannot be found. Supported "
        "are decoders laid out like Llama, Qwen, Mistral, Phi, OLMo and Gemma."
    )


def _experts_of(mlp: Any) -> Any | None:
    experts = getattr(mlp, "experts", None)
    if experts is None:
        return None
    fused = getattr(experts, "down_proj", None)
    plain = getattr(experts, "has_gate", False) and not getattr(experts, "is_transposed", True)
    if fused is None or fused.dim() != 3 or not plain or getattr(experts, "has_bias", True):
        raise RimError(
            f"{type(experts).__name__}: these experts are not laid out as transformers 5 fuses them "
            "for Qwen, Mixtral, OLMoE and Phi (gate_up_proj and down_proj of three dimensions, no "
            "bias). Their neurons cannot be read; heads and probes can, with neurons left out."
        )
    return experts


def _width_in(module: Any) -> int:
    # GPT-2's Conv1D stores its weight the other way round and has no in_features.
    return int(getattr(module, "in_features", None) or module.weight.shape[0])
