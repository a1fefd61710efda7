"""Where a model's heads and neurons are, found by structure.

A layer holds token mixers (attention, or a recurrence or convolution) and, outside of them, down
projections: in each module the linear one that writes at the width of the residual stream, and
fused experts. What goes into a down projection are neurons. `completeness` runs the model to see
that nothing else writes.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError

UnitKind = Literal["head", "neuron"]

_OUTPUT_PROJECTIONS: Final = ("o_proj", "out_proj", "dense", "c_proj", "Wo")

_HEAD_COUNTS: Final = ("num_heads", "num_attention_heads", "n_heads", "num_attn_heads")


class Down(NamedTuple):
    """A down projection: its input holds neurons, and it writes into the residual stream."""

    module: Any
    """A linear module, or fused experts."""
    parent: Any
    """The module that holds it and what its neurons read."""
    first: int
    """Number of its first neuron in the layer."""
    size: int
    """Neurons, of each expert where there are some."""
    experts: int
    """How many there are; 0 for a module that every token passes."""

    @property
    def neurons(self) -> int:
        """Neurons of all experts, one expert after the other."""
        return self.size * max(1, self.experts)

    @property
    def weight(self) -> Any:
        """The parameter: a neuron writes what stands at its index along `axis`."""
        return self.module.down_proj if self.experts else self.module.weight

    @property
    def axis(self) -> int:
        """The neurons' axis of `weight`, -1, or -2 where it is stored transposed (Conv1D, GPT-OSS)."""
        return -2 if is_transposed(self.module) else -1


class Architecture(NamedTuple):
    """The parts of a causal language model that the analyses need, one entry a layer."""

    base: Any
    """The decoder without its language-model head."""
    layers: tuple[Any, ...]
    mixers: tuple[tuple[Any, ...], ...]
    """What reads other tokens: attention, recurrences, convolutions."""
    attention: tuple[Any, ...]
    """Softmax attention; None in a layer without."""
    outputs: tuple[Any, ...]
    """Attention output projections; the input, shape (..., heads * head_dim), holds the heads. None in
    a layer without."""
    heads: tuple[int, ...]
    head_dims: tuple[int, ...]
    downs: tuple[tuple[Down, ...], ...]
    """Down projections: experts first, then what all tokens pass."""
    unsupported: Mapping[UnitKind, str]
    """Kinds whose units cannot be found in this model, with the reason."""

    def unit_counts(self, kind: UnitKind) -> list[int]:
        """Count the units of each layer, 0 where it has none.

        Raises:
            RimError: They cannot be found in this model.
        """
        if kind in self.unsupported:
            raise self.refusal(kind, self.unsupported[kind])
        if kind == "head":
            return list(self.heads)
        return [sum(down.neurons for down in downs) for downs in self.downs]

    def refusal(self, kind: UnitKind, reason: str) -> RimError:
        """Say why no unit of a kind is used, and what else may be."""
        other = "neurons" if kind == "head" else "heads"
        return RimError(
            f"{reason} So no {kind} of this model is read, searched or ablated. Its {other} and probes "
            f"may be: `rim-eval mech {other}` and `rim-eval mech probes`."
        )

    def check_stream(self, states: Any) -> None:
        """Check that a layer hands on one vector a token, shape (batch, length, width).

        Raises:
            RimError: It does not (hyper-connections, AltUp).
        """
        if states.ndim != 3:
            raise RimError(
                f"{type(self.base).__name__}: its residual stream is no single vector a token, and such "
                "models are not supported."
            )

    @property
    def feeds(self) -> list[Any]:
        """What stands beside the token mixers: it holds the neurons, and whatever wraps them."""
        return [
            child
            for layer, mixers in zip(self.layers, self.mixers, strict=True)
            for child in layer.children()
            if not any(child is mixer for mixer in mixers)
        ]

    @property
    def device(self) -> Any:
        """Where token ids go: the embedding's device, or where accelerate runs it when offloaded."""
        embedding = self.base.get_input_embeddings()
        hook = getattr(embedding, "_hf_hook", None)
        moved = getattr(hook, "execution_device", None)
        return embedding.weight.device if moved is None else moved

    def run(self, ids: Any, mask: Any) -> None:
        """Run the decoder without its language-model head on left-padded ids, shape (batch, length)."""
        options = {"position_ids": (mask.cumsum(1) - 1).clamp(min=0), "use_cache": False}
        known = inspect.signature(self.base.forward).parameters
        if not any(each.kind is each.VAR_KEYWORD for each in known.values()):
            options = {name: value for name, value in options.items() if name in known}
        self.base(input_ids=ids, attention_mask=mask, **options)


def architecture_of(model: Any) -> Architecture:
    """Locate the parts of a Hugging Face causal language model, also inside a multimodal one.

    Raises:
        RimError: Its layers cannot be found.
    """
    base = model.get_decoder() if hasattr(model, "get_decoder") else model
    config: Any = model.config.get_text_config() if hasattr(model, "config") else None
    layers = _layers(base, getattr(config, "num_hidden_layers", 0))
    unsupported: dict[UnitKind, str] = {}
    mixers, attention, heads, downs = [], [], [], []
    for number, layer in enumerate(layers):
        mixing = tuple(_mixers(layer))
        mixers.append(mixing)
        attending = [each for each in mixing if _is_softmax_attention(each, config, number)]
        if len(attending) > 1:
            unsupported["head"] = (
                f"{type(layer).__name__} holds {len(attending)} attention modules."
            )
        attention.append(attending[0] if len(attending) == 1 else None)
        heads.append(_heads(attention[-1], config, number, unsupported))
        downs.append(_downs(layer, mixing, config.hidden_size))
    outputs, counts, dims = zip(*heads, strict=True)
    return Architecture(
        base, layers, tuple(mixers), tuple(attention), outputs, counts, dims, tuple(downs), unsupported
    )  # fmt: skip


def model_class(source: Any) -> Any:
    """Transformers' class to load a checkpoint with: a text model, or a multimodal one around it.

    Args:
        source: A local folder or a model id of the Hugging Face hub.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    kind = type(AutoConfig.from_pretrained(source))
    is_multimodal = (
        kind not in AutoModelForCausalLM._model_mapping
        and kind in AutoModelForImageTextToText._model_mapping
    )
    return AutoModelForImageTextToText if is_multimodal else AutoModelForCausalLM


def _layers(base: Any, count: int) -> tuple[Any, ...]:
    """The shallowest list of as many modules as the configuration has layers."""
    lists = [
        (name.count("."), each)
        for name, each in base.named_modules()
        if type(each).__name__ == "ModuleList" and len(each) == count
    ]
    shallowest = [each for depth, each in lists if depth == min(depth for depth, _ in lists)]
    if len(shallowest) != 1:
        raise RimError(
            f"{type(base).__name__}: the list of layers cannot be found, as {len(shallowest)} lists hold "
            f"the {count} modules of its configuration. Supported are decoders of transformers that run "
            "one list of layers."
        )
    return tuple(shallowest[0])


def _mixers(module: Any) -> Iterator[Any]:
    """The outermost modules that read other tokens: attention, or whatever holds a convolution."""
    for child in module.children():
        kinds = {type(each).__name__ for each in child.children()}
        if re.search(r"Attention\d*$", type(child).__name__) or "Conv1d" in kinds:
            yield child
        else:
            yield from _mixers(child)


def _is_softmax_attention(mixer: Any, config: Any, number: int) -> bool:
    types = getattr(config, "layer_types", None)
    is_linear = types is not None and "linear" in types[number]
    convolves = any(type(each).__name__ == "Conv1d" for each in mixer.children())
    return not is_linear and not convolves


def _heads(
    attention: Any | None, config: Any, number: int, unsupported: dict[UnitKind, str]
) -> tuple[Any | None, int, int]:
    """Output projection, number of heads and their width."""
    if attention is None:
        return None, 0, 0
    named = {name.rpartition(".")[2]: each for name, each in attention.named_modules()}
    output = next((named[name] for name in _OUTPUT_PROJECTIONS if name in named), None)
    width = linear_shape(output)[0] if is_linear(output) else 0
    counts = [getattr(attention, name, None) for name in _HEAD_COUNTS]
    heads = next((each for each in counts if isinstance(each, int)), None)
    if heads is None:
        each = getattr(config, "per_layer_config", None)
        heads = getattr(each[number] if each else config, "num_attention_heads", 0)
    if not width or not heads or width % heads:
        unsupported["head"] = (
            f"{type(attention).__name__} has none of {', '.join(_OUTPUT_PROJECTIONS)} "
            "whose input is the heads side by side."
        )
        return None, 0, 0
    return output, heads, width // heads


def _downs(layer: Any, mixers: tuple[Any, ...], width: int) -> tuple[Down, ...]:
    """All down projections of a layer outside its mixers, experts first."""
    found: list[tuple[Any, Any, int, int]] = []
    for parent in modules_outside(layer, mixers):
        if getattr(getattr(parent, "down_proj", None), "ndim", 0) == 3:
            experts, *shape = parent.down_proj.shape
            found.append((parent, parent, shape[0 if is_transposed(parent) else 1], experts))
        linears = [(each, *linear_shape(each)) for each in parent.children() if is_linear(each)]
        writing = [(each, size) for each, size, written in linears if written == width]
        if len(linears) < 2 or any(_writes_latents(each, width) for each in parent.children()):
            continue  # nothing that feeds it stands beside it, so what it reads are no neurons
        if writing:
            # The last one; or, where a gate or an up projection comes after it, the one not square.
            down, size = max(enumerate(writing), key=lambda i: (i[1][1] != width, i[0]))[1]
            found.append((down, parent, size, 0))
    found.sort(key=lambda each: not each[3])
    downs: list[Down] = []
    for module, parent, size, experts in found:
        first = downs[-1].first + downs[-1].neurons if downs else 0
        downs.append(Down(module, parent, first, size, experts))
    return tuple(downs)


def modules_outside(module: Any, mixers: tuple[Any, ...]) -> Iterator[Any]:
    """A module and all below it, without mixers and without what a linear module holds (adapters)."""
    if not any(module is each for each in mixers):
        yield module
        for child in () if is_linear(module) else module.children():
            yield from modules_outside(child, mixers)


def _writes_latents(module: Any, width: int) -> bool:
    """Whether experts write at another width; what brings that to the residual stream has no neurons."""
    down: Any = getattr(module, "down_proj", None)
    written = (
        down.shape[2 if is_transposed(module) else 1] if getattr(down, "ndim", 0) == 3 else width
    )
    return bool(written != width)


def is_transposed(module: Any) -> bool:
    """Whether weights are stored (in, out) instead of (out, in)."""
    by_kind = type(module).__name__ in ("Conv1D", "Llama4TextExperts")
    return bool(getattr(module, "is_transposed", by_kind))


def is_linear(module: Any) -> bool:
    """Whether a module is a linear map of its input's last axis, quantised ones included."""
    return hasattr(module, "in_features") or type(module).__name__ == "Conv1D"


def linear_shape(module: Any) -> tuple[int, int]:
    """Width of what a linear module reads and of what it writes."""
    if type(module).__name__ == "Conv1D":
        return int(module.weight.shape[0]), int(module.nf)
    return int(module.in_features), int(module.out_features)
