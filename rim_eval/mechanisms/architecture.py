"""Where a model's parts are.

`Architecture` is the one place that knows module names. A layer with experts has the neurons of every
routed expert, one expert after the other, and then those of the shared expert that every token
passes through, where there is one (Qwen2-MoE, DeepSeek).
"""

from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError

_NAMES: Final = {
    "the list of layers": ("layers", "h", "blocks"),
    "the attention of a layer": ("self_attn", "attn", "attention", "self_attention"),
    "the attention output projection": ("o_proj", "out_proj", "dense", "c_proj"),
    "the MLP of a layer": ("mlp", "block_sparse_moe", "feed_forward"),
    "the down projection of an MLP": ("down_proj", "fc2", "dense_4h_to_h", "c_proj", "w2"),
}

_SHARED_EXPERT: Final = ("shared_expert", "shared_experts", "shared_mlp")

_EXPERT_LAYOUT: Final = {
    "has_gate": True,
    "has_bias": False,
    "is_transposed": False,
    "is_concatenated": True,
    "has_post_expert_norm": False,
}
"""How transformers 5 describes the fused experts that are supported here."""


UnitKind = Literal["head", "neuron"]


class Architecture(NamedTuple):
    """The parts of a causal language model that the analyses need, one entry a layer."""

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

    @property
    def widths(self) -> list[int]:
        """Neurons of each layer."""
        return [self.neurons(layer) for layer in range(len(self.layers))]

    def run(self, ids: Any, mask: Any) -> None:
        """Run the decoder without its language-model head on left-padded ids, shape (batch, length)."""
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        self.base(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)

    def neurons(self, layer: int) -> int:
        """Count the neurons of a layer: its routed experts' (expert-major), then those of `denses`.

        Raises:
            RimError: The layout of the experts is not supported.
        """
        down = self.downs[layer]
        return self.routed(layer) + (_input_width(down) if down is not None else 0)

    def routed(self, layer: int) -> int:
        """Count the neurons of a layer's routed experts, 0 in a dense layer; raises as `neurons`."""
        experts = self.experts[layer]
        if experts is None:
            return 0
        down = getattr(experts, "down_proj", None)
        layout = {name: getattr(experts, name, None) for name in _EXPERT_LAYOUT}
        if down is None or down.dim() != 3 or layout != _EXPERT_LAYOUT:
            raise RimError(
                f"{type(experts).__name__}: these experts are not laid out as transformers 5 fuses "
                "them for Qwen, DeepSeek, Mixtral, OLMoE and Phi (gate_up_proj and down_proj of "
                "three dimensions, gate rows before up rows, no bias), so no neuron of this model is "
                "read, searched or ablated. Its heads and probes can be: `rim-eval mech heads` and "
                "`rim-eval mech probes`."
            )
        return int(down.shape[0] * down.shape[2])


def architecture_of(model: Any) -> Architecture:
    """Locate the parts of a Hugging Face causal language model by name.

    Raises:
        RimError: A part has none of the known names; the message says which one.
    """
    base = getattr(model, "base_model", model)
    base = getattr(base, "language_model", base)
    layers = tuple(_part(base, "the list of layers"))
    attention = tuple(_part(layer, "the attention of a layer") for layer in layers)
    outputs = tuple(_part(each, "the attention output projection") for each in attention)
    mlps = tuple(_part(layer, "the MLP of a layer") for layer in layers)
    experts = tuple(getattr(mlp, "experts", None) for mlp in mlps)
    denses = tuple(
        mlp
        if routed is None
        else next((part for name, part in mlp.named_children() if name in _SHARED_EXPERT), None)
        for mlp, routed in zip(mlps, experts, strict=True)
    )
    downs = tuple(dense and _part(dense, "the down projection of an MLP") for dense in denses)
    heads = int(model.config.get_text_config().num_attention_heads)
    head_dim = _input_width(outputs[0]) // heads
    return Architecture(base, layers, attention, outputs, heads, head_dim, denses, downs, experts)


def _part(module: Any, what: str) -> Any:
    for name in _NAMES[what]:
        if hasattr(module, name):
            return getattr(module, name)
    raise RimError(
        f"{type(module).__name__} has none of {', '.join(_NAMES[what])}: {what} cannot be found. "
        "Supported are decoders laid out like Llama, Qwen, Mistral, Phi, OLMo and Gemma."
    )


def _input_width(module: Any) -> int:
    # GPT-2's Conv1D stores its weight the other way round and has no in_features.
    return int(getattr(module, "in_features", None) or module.weight.shape[0])
