"""Heads, neurons and probes are exact, or refused with the reason, in every family of models."""

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.families import FAMILIES, build, examine, logits, passages
from rim_eval.errors import RimError
from rim_eval.mechanisms import Neurons, capture, frozen
from rim_eval.mechanisms.ablation import ablate_units, mean_units
from rim_eval.mechanisms.architecture import UnitKind, architecture_of
from rim_eval.mechanisms.capture import Attention
from rim_eval.mechanisms.completeness import check_complete, check_padding
from rim_eval.mechanisms.heads import score_heads
from rim_eval.mechanisms.model import ModelHandle, Request, load_model
from rim_eval.mechanisms.replies import generate
from rim_eval.mechanisms.units import weight_change

FAST = (
    "qwen3",
    "falcon",
    "gpt2",
    "gpt_oss",
    "llama4",
    "gemma4_text",
    "granitemoeshared",
    "nemotron_h",
    "qwen3_next",
    "bitnet",
    "openai-gpt",
    "paligemma",
    "rwkv",
)

REFUSED = {
    "bitnet": "BitNetAttention mixes its heads",
    "dbrx": r"ffn\.experts\.mlp \(DbrxExpertGLU\)",
    "diffllama": "DiffLlamaAttention mixes its heads",
    "deepseek_v4": "no single vector a token",
    "gemma3n_text": "no single vector a token",
    "jetmoe": r"mlp\.output_linear \(JetMoeParallelExperts\)",
    "longcat_flash": "list of layers cannot be found",
    "paligemma": "computes something else where a text is padded",
    "recurrent_gemma": "computes something else where a text is padded",
    "rwkv": "computes something else where a text is padded",
}
"""Families of which something is refused, and what the message says."""


@pytest.mark.parametrize(
    "family", [f if f in FAST else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES]
)
def test_a_family_is_exact_or_refused_by_name(family: str) -> None:
    torch.set_num_threads(1)
    found = examine(family)
    assert not found.inexact, found.differences
    if family not in REFUSED:
        assert not found.refused
        assert found.heads is not None
        assert found.neurons is not None
    else:
        assert any(re.search(REFUSED[family], message) for message in found.refused), found.refused


def test_layers_of_a_hybrid_have_the_units_that_they_have() -> None:
    model = build("nemotron_h")  # mamba, attention, experts, MLP
    parts = architecture_of(model)
    assert parts.unit_counts("head") == [0, 4, 0, 0]
    assert parts.unit_counts("neuron") == [0, 0, 4 * 16 + 20, 48]
    with (
        pytest.raises(RimError, match="layer 0: it has none"),
        ablate_units(model, "head", [(0, 0)]),
    ):
        pass
    read = capture(
        model, passages(), neurons=Neurons("max"), attention=Attention("last", ("trace",))
    )
    assert read.argmax is not None
    assert read.mass is not None
    assert (read.argmax[:, [0, 2, 3]] == -1).all()
    assert np.isnan(read.mass[:, [0, 2, 3]]).all()
    assert not np.isnan(read.mass[:, 1]).any()
    assert {layer: mean.shape for layer, mean in mean_units(model, passages(), "head").items()} == {
        1: (4, 8)
    }


def test_heads_of_a_hybrid_are_ranked_in_the_layers_that_have_them(handle: ModelHandle) -> None:
    model = build("nemotron_h")
    model.resize_token_embeddings(len(handle.tokenizer))
    requests = [Request(str(n), text) for n, text in enumerate(("Hello", "How do I open it?"))]
    scores = score_heads(replace(handle, model=model), requests)
    assert sorted(score.unit for score in scores) == [(1, head) for head in range(4)]
    assert not any(np.isnan(score.mass_on_span) for score in scores)


def test_a_model_without_attention_has_no_heads_to_search() -> None:
    with pytest.raises(RimError, match="no softmax attention"):
        capture(build("falcon_mamba"), passages(), attention=Attention("last"))


def test_layers_may_have_heads_of_different_widths() -> None:
    parts = architecture_of(build("gemma4_text"))
    assert parts.heads == (4, 4)
    assert parts.head_dims == (8, 16)


@pytest.mark.parametrize(
    ("kind", "within", "message"),
    [
        ("neuron", "mlp", r"mlp\.beside \(Linear\) of layer 1"),
        ("head", "self_attn", r"self_attn\.beside \(Linear\)"),
    ],
)
def test_a_module_that_writes_past_the_units_is_named(kind: Any, within: str, message: str) -> None:
    model = build("llama")
    module = getattr(model.model.layers[1], within)
    module.beside = torch.nn.Linear(32, 32)
    forward = module.forward

    def with_branch(*args: Any, **options: Any) -> Any:
        out = forward(*args, **options)
        hidden = args[0] if args else options["hidden_states"]
        if isinstance(out, tuple):
            return (out[0] + module.beside(hidden), *out[1:])
        return out + module.beside(hidden)

    module.forward = with_branch
    with pytest.raises(RimError, match=message), ablate_units(model, kind, [(0, 0)]):
        pass
    other: UnitKind = "head" if kind == "neuron" else "neuron"
    with ablate_units(model, other, [(0, 0)]):  # is not affected
        pass


@pytest.mark.parametrize("family", ["granitemoeshared", "gemma4_text", "llama4_text", "nemotron_h"])
def test_a_down_projection_that_no_unit_claims_is_an_error(family: str) -> None:
    parts = architecture_of(build(family))
    for layer, downs in enumerate(parts.downs):
        for down in downs:
            fewer = [tuple(d for d in each if d is not down) for each in parts.downs]
            # Another model, as each is checked once.
            base = copy.copy(parts.base)
            with pytest.raises(RimError, match=f"of layer {layer} writes past the neurons"):
                check_complete(parts._replace(base=base, downs=tuple(fewer)), "neuron")


def test_a_checkpoint_of_a_multimodal_model_is_loaded_and_replies(
    tmp_path: Path, handle: ModelHandle
) -> None:
    model = build("mistral3")
    model.resize_token_embeddings(len(handle.tokenizer))
    model.save_pretrained(tmp_path)
    handle.tokenizer.save_pretrained(tmp_path)
    for device in ("cpu", "auto"):
        loaded = load_model(tmp_path, device=device, dtype="float32")
        assert type(loaded.model) is type(model)
        assert len(loaded.replies([Request("a", "Hello")], "no_think", max_new_tokens=2)) == 1
        passage = loaded.passage(Request("a", "Hello"), "no_think")
        mine, want = (
            capture(each, [passage], neurons=Neurons("max")).neurons
            for each in (loaded.model, model)
        )
        assert mine is not None
        np.testing.assert_allclose(mine, want, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["paligemma", "rwkv", "recurrent_gemma"])
def test_replies_are_not_generated_together_where_padding_changes_them(
    handle: ModelHandle, family: str
) -> None:
    model = build(family)
    with pytest.raises(RimError, match="where a text is padded"):
        generate(model, handle.tokenizer, passages(), max_new_tokens=2)


def test_a_residual_stream_of_several_vectors_is_named() -> None:
    with pytest.raises(RimError, match="no single vector a token"):
        check_padding(architecture_of(build("gemma3n_text")))


def test_layers_that_share_a_module_are_refused() -> None:
    model = build("llama")
    model.model.layers[1].mlp = model.model.layers[0].mlp
    with pytest.raises(RimError, match="Layers share a Linear"):
        capture(model, passages(), neurons=Neurons("max"))
    with ablate_units(model, "head", [(0, 0)]):
        pass


def test_experts_that_compute_otherwise_are_refused() -> None:
    model = build("mixtral")
    experts = model.model.layers[1].mlp.experts
    forward = experts.forward
    experts.forward = lambda *args: 1.1 * forward(*args)
    with pytest.raises(RimError, match="MixtralExperts computes its experts in a way"):
        capture(model, passages(), neurons=Neurons("max"))


def test_modules_that_see_only_some_tokens_are_refused() -> None:
    """Such an expert does not tell which tokens they are."""
    model = build("llama")
    mlp = model.model.layers[1].mlp
    forward = mlp.forward
    mlp.forward = lambda hidden: torch.cat([forward(hidden[:, :3]), hidden[:, 3:]], 1)
    with (
        pytest.raises(RimError, match="is not run on every token once"),
        ablate_units(model, "neuron", [(0, 0)]),
    ):
        pass


@pytest.mark.parametrize(
    "family", ["gpt2", "gpt_oss", "gemma4_text", "nemotron_h", "opt", "gpt_neox"]
)
def test_weights_of_a_neuron_are_those_that_move_it(family: str) -> None:
    """Freezing a neuron and randomising all other weights of its layer's MLP leaves what it computes."""
    base = build(family)
    parts = architecture_of(base)
    layer = max(layer for layer, width in enumerate(parts.unit_counts("neuron")) if width)
    units = [(layer, down.first + j) for down in parts.downs[layer] for j in (1, down.neurons - 2)]
    tuned = copy.deepcopy(base)
    with frozen(tuned, units), torch.no_grad():
        modules = {
            id(m): m
            for down in architecture_of(tuned).downs[layer]
            for m in (down.module, down.parent)
        }
        for module in modules.values():
            for part in (module, *(m for m in module.children() if hasattr(m, "weight"))):
                for name, weight in part.named_parameters(recurse=False):
                    if weight.ndim > 1 or "proj" in name or family in ("gpt2", "opt", "gpt_neox"):
                        weight.normal_()
    change = weight_change(base, tuned)
    first = sum(parts.unit_counts("neuron")[:layer])
    moved = np.ones(parts.unit_counts("neuron")[layer], dtype=bool)
    moved[[number for _, number in units]] = False
    for each in (change.outgoing, change.incoming):
        np.testing.assert_array_equal(each[first : first + len(moved)] > 0, moved)


def test_an_offloaded_model_is_read_and_ablated_like_a_loaded_one() -> None:
    from accelerate import cpu_offload

    for family in ("qwen3", "gpt_oss"):
        plain, offloaded = build(family), build(family)
        cpu_offload(offloaded, "cpu")
        assert next(offloaded.model.layers[0].parameters()).is_meta
        asked: dict[str, Any] = {
            "residual": ("text",),
            "neurons": Neurons("max"),
            "attention": Attention("last", ("trace",)),
        }
        one, other = (capture(model, passages(), **asked) for model in (plain, offloaded))
        np.testing.assert_allclose(one.residual, other.residual, atol=1e-6)  # type: ignore[arg-type]
        np.testing.assert_array_equal(one.argmax, other.argmax)
        for a, b in zip(one.neurons or (), other.neurons or (), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        before = logits(offloaded, passages()[0])
        ablated = []
        for model in (plain, offloaded):
            with (
                ablate_units(model, "neuron", [(1, 3), (1, 30)]),
                ablate_units(model, "head", [(0, 1)]),
            ):
                ablated.append(logits(model, passages()[0]))
        torch.testing.assert_close(*ablated)
        assert not torch.equal(before, ablated[1])
        assert torch.equal(before, logits(offloaded, passages()[0]))
        with pytest.raises(RimError, match="offloaded"), frozen(offloaded, [(0, 1)]):
            pass
