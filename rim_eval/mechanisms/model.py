"""The model under study: weights, tokenizer and thinking switch, and where its parts are.

`Architecture` is the one place that knows module names. A layer with experts has the neurons of every
routed expert, one expert after the other, and then those of the shared expert that every token
passes through, where there is one (Qwen2-MoE, DeepSeek).
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from rim_eval.errors import RimError
from rim_eval.mechanisms.adapters import adapter_base, load_adapted, tokenizer_source
from rim_eval.mechanisms.replies import BATCH, Reply, generate
from rim_eval.mechanisms.spans import Passage, locate_spans
from rim_eval.mechanisms.turns import read_turn
from rim_eval.thinking import (
    Renderer,
    Switch,
    explicit_switch,
    find_switch,
    require_difference,
    tokenizer_renderer,
)
from rim_eval.types import Mode


class Request(NamedTuple):
    """A prompt as it is sent: its id and its text."""

    id: str
    text: str


@dataclass(frozen=True)
class ModelHandle:
    """A causal language model with its tokenizer and its thinking switch."""

    model: Any
    tokenizer: Any
    switch: Switch
    name: str = "model"

    def passage(self, request: Request, mode: Mode, reply: Sequence[int] = ()) -> Passage:
        """Build what the model reads in a mode: a request, followed by a reply if one is given."""
        recipe = self.switch.recipe(mode)
        turn = read_turn(self.tokenizer, recipe, request.text, id=request.id)
        return locate_spans(self.tokenizer, turn, reply, id=request.id)

    def passages(
        self, requests: Sequence[Request], mode: Mode, replies: Sequence[Reply] | None = None
    ) -> list[Passage]:
        """Build one passage for each request, in order."""
        ids = [reply.ids for reply in replies] if replies is not None else [()] * len(requests)
        return [self.passage(r, mode, i) for r, i in zip(requests, ids, strict=True)]

    def replies(
        self,
        requests: Sequence[Request],
        mode: Mode,
        *,
        max_new_tokens: int = 128,
        batch: int = BATCH,
    ) -> list[Reply]:
        """Generate greedy replies in a mode, in order; see `replies.generate`."""
        passages = self.passages(requests, mode)
        return generate(
            self.model, self.tokenizer, passages, max_new_tokens=max_new_tokens, batch=batch
        )


def load_model(
    source: str | Path,
    *,
    base: str | Path | None = None,
    switch: str = "auto",
    device: str = "cpu",
    dtype: str = "auto",
    name: str | None = None,
) -> ModelHandle:
    """Load a checkpoint, or an adapter merged into its base, with its thinking switch.

    Args:
        source: A local folder or a model id of the Hugging Face hub; of an adapter, too.
        base: An adapter's base model, where it does not lie where the adapter's configuration says.
        switch: `auto` to find it in the chat template, or in words as `wrap_model` takes them.
        device: torch device of the weights.
        dtype: torch's name of a number type, or `auto` for the checkpoint's own.
        name: What reports call the model; by default the source's last part.

    Raises:
        RimError: The checkpoint cannot be loaded, its tokenizer has no chat template, there is no such
            device or number type, or the switch changes nothing here.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_device(device, dtype)
    with _loading(source):
        adapted = adapter_base(source, base)
        if adapted is None:
            model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
        else:
            model = load_adapted(source, adapted, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_source(source, adapted))
    model = model.to(device).eval()
    return wrap_model(model, tokenizer, name or Path(str(source)).name, switch=switch)


def read_config(source: str | Path) -> Any:
    """Read a checkpoint's transformers configuration, an adapter's base's, without weights.

    Args:
        source: A local folder or a model id of the Hugging Face hub.

    Raises:
        RimError: There is none.
    """
    from transformers import AutoConfig

    with _loading(source):
        return AutoConfig.from_pretrained(adapter_base(source) or source)


@contextmanager
def _loading(source: str | Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise RimError(
            f"{source}: cannot be loaded as a causal language model ({error}). Give a local folder "
            "of a Hugging Face checkpoint or a model id."
        ) from error


def wrap_model(model: Any, tokenizer: Any, name: str, *, switch: str = "auto") -> ModelHandle:
    """Make a handle of a loaded model and tokenizer.

    Args:
        model: A Hugging Face causal language model.
        tokenizer: Its tokenizer, with a chat template.
        name: What reports call the model.
        switch: `auto` to find the switch in the chat template, or one in words (`enable_thinking`,
            `forced_empty`, `prompted`, `chain_of_thought`, `effort:low,high`; `explicit_switch` says all).

    Raises:
        RimError: The tokenizer has no chat template, or the switch changes nothing here.
    """
    render = tokenizer_renderer(tokenizer)
    if switch == "auto":
        found = find_switch(render, model=name)
    else:
        found = explicit_switch(switch, render=render)
    return ModelHandle(model, tokenizer, _asked_here(found, render), name)


def _asked_here(switch: Switch, render: Renderer) -> Switch:
    """A switch as a model in this process can be asked: by its prompt alone.

    Raises:
        RimError: It is a field of a server's request, or the prompts of both modes are the same.
    """
    recipes = []
    for recipe in (switch.think, switch.no_think):
        if recipe.body or recipe.reasoning_tokens is not None:
            raise RimError(
                f"The switch {switch.name!r} is a field of a server's request, and here the model's own "
                "weights are read: give one that changes the prompt, such as forced_empty, prompted, a "
                "template variable or system:/no_think."
            )
        if recipe.reasoning_effort and not recipe.template_kwargs:
            words = {"reasoning_effort": recipe.reasoning_effort}
            recipe = recipe.model_copy(update={"template_kwargs": words})
        recipes.append(recipe.read_opening(render))
    think, no_think = recipes
    switch = switch.model_copy(update={"think": think, "no_think": no_think})
    require_difference(render, switch)
    return switch


def check_device(device: str, dtype: str = "auto") -> None:
    """Check that torch has a device and a number type here.

    Raises:
        RimError: The message names what was given and what is available.
    """
    import torch

    if dtype != "auto" and not isinstance(getattr(torch, dtype, None), torch.dtype):
        raise RimError(
            f"--dtype {dtype}: torch has no such number type. Give auto, float32, bfloat16 or float16."
        )
    try:
        torch.empty(0, device=device)
    # A build without CUDA fails an assertion; a name that torch does not know is a RuntimeError.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        available = "cpu and cuda" if torch.cuda.is_available() else "cpu"
        reason = str(error).split("\n", maxsplit=1)[0]
        raise RimError(f"--device {device}: {reason} Here there is {available}.") from None


def padded_batches(
    passages: Sequence[Passage],
    device: Any,
    *,
    tokens: float = math.inf,
    rows: float = math.inf,
    pad: int = 0,
) -> Iterator[tuple[list[int], Any, Any]]:
    """Batch passages in order of length and pad them on the left.

    Args:
        passages: Texts to read.
        device: torch device of the batches.
        tokens: Padded tokens of a batch, at most; a longer passage is a batch of its own.
        rows: Passages of a batch, at most.
        pad: Token to pad with.

    Yields:
        Indices of the passages, their ids and their attention mask, both of shape (batch, length).
    """
    import torch

    lengths = [len(passage.ids) for passage in passages]
    batches: list[list[int]] = []
    for index in sorted(range(len(passages)), key=lengths.__getitem__):
        size = len(batches[-1]) + 1 if batches else math.inf
        if size > rows or size * lengths[index] > tokens:
            batches.append([])
        batches[-1].append(index)
    for batch in batches:
        padding = [lengths[batch[-1]] - lengths[i] for i in batch]
        ids = [[pad] * n + [*passages[i].ids] for n, i in zip(padding, batch, strict=True)]
        mask = [[0] * n + [1] * lengths[i] for n, i in zip(padding, batch, strict=True)]
        yield batch, torch.tensor(ids, device=device), torch.tensor(mask, device=device)


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
