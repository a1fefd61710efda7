"""Where a decoder keeps its layers, heads and neurons: the one place that knows module names.

Llama, Qwen, Mistral, Phi, OLMo, Gemma and their mixture-of-experts versions agree on the shape:
blocks in a row, an attention output projection that reads the heads side by side, and a down
projection that reads the neurons. Only the names differ.

A layer with experts has the neurons of every routed expert, one expert after the other, and then
those of the shared expert that every token passes through, where there is one (Qwen2-MoE, DeepSeek).
"""

from typing import Any, Final, NamedTuple

from rim_eval.errors import RimError

__all__ = ["Architecture", "architecture_of"]

_LAYERS: Final = ("layers", "h", "blocks")
_ATTENTION: Final = ("self_attn", "attn", "attention", "self_attention")
_OUT: Final = ("o_proj", "out_proj", "dense", "c_proj")
_MLP: Final = ("mlp", "block_sparse_moe", "feed_forward")
_SHARED: Final = ("shared_expert", "shared_experts", "shared_mlp")
_DOWN: Final = ("down_proj", "fc2", "dense_4h_to_h", "c_proj", "w2")


_LAYOUT: Final = {
    "has_gate": True,
    "has_bias": False,
    "is_transposed": False,
    "is_concatenated": True,
    "has_post_expert_norm": False,
}
"""How transformers 5 describes the fused experts that are understood here."""


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
    denses: tuple[Any | None, ...]
    """What all tokens pass through: the MLP itself, or the shared expert beside routed ones, or None."""
    downs: tuple[Any | None, ...]
    """Down projections of these, whose input (..., neurons) holds the neurons."""
    experts: tuple[Any | None, ...]
    """Fused experts of a mixture-of-experts layer; None in a dense layer."""

    def neurons(self, layer: int) -> int:
        """Neurons of a layer: those of its routed experts (expert-major), then those of `denses`.

        Raises:
            RimError: The experts are laid out so that their neurons cannot be read.
        """
        down = self.downs[layer]
        return self.routed(layer) + (_width_in(down) if down is not None else 0)

    def routed(self, layer: int) -> int:
        """Neurons of a layer's routed experts, 0 in a dense layer.

        Raises:
            RimError: The experts are laid out so that their neurons cannot be read.
        """
        experts = self.experts[layer]
        if experts is None:
            return 0
        _check_experts(experts)
        return int(experts.down_proj.shape[0] * experts.down_proj.shape[2])


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
    experts = tuple(getattr(mlp, "experts", None) for mlp in mlps)
    denses = tuple(
        _shared_of(mlp) if routed is not None else mlp
        for mlp, routed in zip(mlps, experts, strict=True)
    )
    downs = tuple(
        None if dense is None else _one_of(dense, _DOWN, "the down projection of an MLP")
        for dense in denses
    )
    heads = int(model.config.get_text_config().num_attention_heads)
    head_dim = _width_in(outputs[0]) // heads
    return Architecture(base, layers, attention, outputs, heads, head_dim, denses, downs, experts)


def _one_of(module: Any, names: tuple[str, ...], what: str) -> Any:
    for name in names:
        if hasattr(module, name):
            return getattr(module, name)
    raise RimError(
        f"{type(module).__name__} has none of {', '.join(names)}: {what} cannot be found. Supported "
        "are decoders laid out like Llama, Qwen, Mistral, Phi, OLMo and Gemma."
    )


def _shared_of(mlp: Any) -> Any | None:
    """The shared expert beside routed ones, known by its name (`shared_expert`, `shared_experts`)."""
    return next((part for name, part in mlp.named_children() if name in _SHARED), None)


def _check_experts(experts: Any) -> None:
    fused = getattr(experts, "down_proj", None)
    known = all(getattr(experts, name, not value) == value for name, value in _LAYOUT.items())
    if fused is None or fused.dim() != 3 or not known:
        raise RimError(
            f"{type(experts).__name__}: these experts are not laid out as transformers 5 fuses them "
            "for Qwen, DeepSeek, Mixtral, OLMoE and Phi (gate_up_proj and down_proj of three "
            "dimensions, gate rows before up rows, no bias), so no neuron of this model is read, searched or taken out. Its "
            "heads and probes can be: `rim-eval mech heads` and `rim-eval mech probes`."
        )


def _width_in(module: Any) -> int:
    # GPT-2's Conv1D stores its weight the other way round and has no in_features.
    return int(getattr(module, "in_features", None) or module.weight.shape[0])
