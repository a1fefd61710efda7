from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.capture import Attention, Neurons, Pool, capture, capture_neurons
from rim_eval.mechanisms.spans import Passage

FAMILIES = (
    "llama",
    "qwen3",
    "mistral",
    "phi3",
    "olmo2",
    "gemma2",
    "qwen3_moe",
    "mixtral",
    "olmoe",
    "phimoe",
)
SHARED = [("qwen2_moe", "shared_expert"), ("deepseek_v3", "shared_experts")]
Tiny = Callable[[str], Any]


def alone(model: Any, passage: Passage) -> Any:
    """The library's own outputs for one passage, without padding, on eager attention."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        out = model(torch.tensor([passage.ids]), output_hidden_states=True, output_attentions=True)
    model.set_attn_implementation(before)
    return out


def hooks_of(model: Any) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_residuals_are_those_of_each_passage_alone(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    got = capture(model, passages, residual=("last", "text"), layers=(-1, 0, 1)).residual
    assert got is not None
    assert got.shape == (4, 3, 2, 32)
    for n, passage in enumerate(passages):
        hidden = alone(model, passage).hidden_states
        for layer in range(3):
            start, stop = passage.spans["last"]
            np.testing.assert_allclose(got[n, layer, 0], hidden[layer][0, start], atol=2e-5)
            start, stop = passage.spans["text"]
            want = hidden[layer][0, start:stop].mean(0)
            np.testing.assert_allclose(got[n, layer, 1], want, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_rows_are_those_of_eager_attention(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    found = capture(model, passages, attention=Attention("last", ("assistant", "trace", "think")))
    assert found.argmax is not None
    assert found.mass is not None
    for n, passage in enumerate(passages):
        query = passage.spans["last"][1] - 1
        for layer, weights in enumerate(alone(model, passage).attentions):
            row = weights[0, :, query].float()
            np.testing.assert_array_equal(found.argmax[n, layer], row.argmax(-1))
            np.testing.assert_allclose(found.mass[n, layer, :, 0], row[:, 1], atol=2e-5)
            np.testing.assert_allclose(found.mass[n, layer, :, 1], row[:, 2:4].sum(-1), atol=2e-5)
    assert np.isnan(found.mass[..., 2]).all()


def pooled_by_hand(pool: Pool, acts: Any) -> Any:
    if pool == "max":
        return acts.amax(0)
    return (acts if pool == "mean" else acts.abs()).mean(0)


@pytest.mark.parametrize("pool", get_args(Pool))
@pytest.mark.parametrize("family", ["llama", "phi3", "olmo2"])
def test_pooled_neurons_are_those_of_a_hook_by_hand(
    tiny: Tiny, passages: list[Passage], family: str, pool: Pool
) -> None:
    model = tiny(family)
    seen: list[Any] = []
    got = capture(model, passages, neurons=Neurons(pool), layers=[1]).neurons
    assert got is not None
    down = model.model.layers[1].mlp.down_proj
    handle = down.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    for n, passage in enumerate(passages):
        alone(model, passage)
        start, stop = passage.spans["text"]
        want = pooled_by_hand(pool, seen.pop()[0, start:stop])
        np.testing.assert_allclose(got[0][n], want, atol=1e-5)
    handle.remove()


@pytest.mark.parametrize("family", ["qwen3_moe", "mixtral", "olmoe", "phimoe"])
def test_neurons_of_experts_are_zero_where_not_routed_and_sum_to_the_layer(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    parts = architecture_of(model)
    experts = parts.downs[1][0].module
    assert experts is not None
    routed: list[Any] = []
    handle = experts.register_forward_pre_hook(lambda _m, args: routed.append(args))
    one = Passage(passages[0].ids[:1], {"text": (0, 1)})
    got = capture(model, [one], neurons=Neurons("mean"), layers=[1]).neurons
    handle.remove()
    assert got is not None
    assert got[0].shape == (1, parts.unit_counts("neuron")[1])
    hidden, chosen, _ = routed[-1]
    (count, _, width), hidden = experts.down_proj.shape, hidden.clone()
    for expert in range(count):
        acts = got[0][0, expert * width : (expert + 1) * width]
        if expert in chosen[0]:
            gate, up = (hidden[0] @ experts.gate_up_proj[expert].detach().T).chunk(2)
            np.testing.assert_allclose(acts, experts.act_fn(gate) * up, atol=1e-5)
        else:
            assert not acts.any()


@pytest.mark.parametrize(("family", "name"), SHARED)
def test_neurons_of_the_shared_expert_are_read_after_those_of_the_routed_ones(
    tiny: Tiny, passages: list[Passage], family: str, name: str
) -> None:
    model = tiny(family)
    parts = architecture_of(model)
    down = getattr(model.model.layers[1].mlp, name).down_proj
    routed = 4 * 16
    assert parts.unit_counts("neuron")[1] == routed + down.in_features
    seen: list[Any] = []
    got = capture(model, passages, neurons=Neurons("max"), layers=[1]).neurons
    assert got is not None
    handle = down.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    for n, passage in enumerate(passages):
        alone(model, passage)
        start, stop = passage.spans["text"]
        want = seen.pop().reshape(len(passage.ids), -1)[start:stop].amax(0)
        np.testing.assert_allclose(got[0][n][routed:], want, atol=1e-5)
    handle.remove()
    assert got[0][:, :routed].any()


def test_max_over_tokens_of_an_expert_counts_tokens_routed_elsewhere_as_zero(
    tiny: Tiny, passages: list[Passage]
) -> None:
    found = capture(tiny("qwen3_moe"), passages, neurons=Neurons("max"))
    assert found.neurons is not None
    largest = np.concatenate(found.neurons, 1)
    assert (largest < 0).mean() < 0.2, "every token would have to be routed to the expert"


@pytest.mark.parametrize("family", ["qwen3", "qwen3_moe", "gemma2"])
def test_capturing_leaves_the_model_as_it_was(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    ids = torch.tensor([passages[0].ids])
    with torch.inference_mode():
        before, hooks = model(ids).logits, hooks_of(model)
        how = model.config._attn_implementation
        capture(model, passages, residual=("last",), neurons=Neurons("max"), attention=Attention())
        with pytest.raises(RimError):
            capture(model, passages, residual=("nowhere",))
        assert hooks_of(model) == hooks
        assert model.config._attn_implementation == how
        assert torch.equal(model(ids).logits, before)


def test_the_batch_size_changes_nothing(tiny: Tiny, passages: list[Passage]) -> None:
    asked: dict[str, Any] = {
        "residual": ("text",),
        "neurons": Neurons("max"),
        "attention": Attention(),
    }
    model = tiny("qwen3")
    one = capture(model, passages, tokens_per_batch=1, **asked)
    all_ = capture(model, passages, tokens_per_batch=10_000, **asked)
    np.testing.assert_allclose(one.residual, all_.residual, atol=1e-5)  # type: ignore[arg-type]
    for a, b in zip(one.neurons or (), all_.neurons or (), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_array_equal(one.argmax, all_.argmax)


def test_what_is_not_asked_for_is_not_kept(tiny: Tiny, passages: list[Passage]) -> None:
    found = capture(tiny("llama"), passages, residual=("last",), layers=[0])
    assert found.neurons is None
    assert found.argmax is None
    assert found.mass is None


def test_layers_after_the_last_one_asked_for_do_not_run(
    tiny: Tiny, passages: list[Passage]
) -> None:
    model = tiny("llama")
    ran: list[int] = []
    handles = [
        layer.register_forward_hook(lambda *_args, n=n: ran.append(n))
        for n, layer in enumerate(model.model.layers)
    ]
    capture(model, passages, residual=("last",), layers=[0, 1], tokens_per_batch=10_000)
    for handle in handles:
        handle.remove()
    assert 2 not in ran


@pytest.mark.parametrize("layers", [[3], [-2], []])
def test_unknown_layers_are_named(tiny: Tiny, passages: list[Passage], layers: list[int]) -> None:
    with pytest.raises(RimError, match="layers 0 to 2"):
        capture(tiny("llama"), passages, residual=("last",), layers=layers)


def test_asking_for_nothing_is_an_error(tiny: Tiny, passages: list[Passage]) -> None:
    with pytest.raises(RimError, match="at least one"):
        capture(tiny("llama"), passages)


@pytest.mark.parametrize("family", ["llama", "qwen3_moe"])
def test_several_pools_of_one_pass_are_those_of_several(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model, passed = tiny(family), list[int]()
    watch = model.model.layers[0].register_forward_hook(lambda *_args: passed.append(1))
    pools: tuple[Pool, ...] = ("mean", "max", "mean_abs")
    together = capture_neurons(model, passages, pools, "text")
    once = len(passed)
    apart = [capture_neurons(model, passages, pool, "text") for pool in pools]
    watch.remove()
    assert len(passed) == 4 * once
    np.testing.assert_array_equal(together, np.stack(apart, axis=1))


def test_an_unknown_pooling_is_named_with_those_there_are(
    tiny: Tiny, passages: list[Passage]
) -> None:
    asked = Neurons("bad")  # type: ignore[arg-type]
    with pytest.raises(RimError, match=r"'bad'.*max, mean, mean_abs"):
        capture(tiny("llama"), passages, neurons=asked)


def test_an_unknown_architecture_says_what_is_missing() -> None:
    with pytest.raises(RimError, match="list of layers"):
        architecture_of(torch.nn.Linear(2, 2))


def test_a_passage_without_a_span_reads_nan_there_and_costs_the_others_nothing(
    tiny: Tiny, passages: list[Passage]
) -> None:
    model = tiny("llama")
    whole = capture(model, passages, residual=("last", "trace")).residual
    spans = {name: at for name, at in passages[1].spans.items() if name != "trace"}
    cut = [passages[0], passages[1]._replace(spans=spans), *passages[2:]]
    read = capture(model, cut, residual=("last", "trace")).residual
    assert whole is not None
    assert read is not None
    assert np.isnan(read[1, :, 1]).all()
    read[1, :, 1] = whole[1, :, 1]
    np.testing.assert_array_equal(read, whole)


def test_a_span_that_no_passage_has_is_named(tiny: Tiny, passages: list[Passage]) -> None:
    with pytest.raises(RimError, match="no token span 'nowhere'"):
        capture(tiny("llama"), passages, residual=("last", "nowhere"))
