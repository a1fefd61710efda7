from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    AnalysisConfig,
    ModelHandle,
    Neurons,
    Passage,
    Prompts,
    Unit,
    capture,
    draw_random_sets,
    load_reply_judge,
)
from rim_eval.mechanisms.ablation import UnitAblation, ablate_units, mean_units
from rim_eval.mechanisms.architecture import UnitKind, architecture_of
from rim_eval.mechanisms.capture import capture_neurons

Tiny = Callable[[str], Any]
FAMILIES = ("llama", "phi3", "olmo2", "qwen3_moe", "mixtral", "qwen2_moe", "deepseek_v3")


def logits(model: Any, passage: Passage) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([passage.ids])).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_ablating_nothing_changes_nothing(tiny: Tiny, passages: list[Passage], family: str) -> None:
    model = tiny(family)
    before = logits(model, passages[0])
    with ablate_units(model, "head", []), ablate_units(model, "neuron", []):
        assert torch.equal(logits(model, passages[0]), before)


@pytest.mark.parametrize("family", ["llama", "phi3", "olmo2"])
def test_zero_ablation_is_what_zero_weights_do(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    down = model.model.layers[1].mlp.down_proj.weight
    out = model.model.layers[2].self_attn.o_proj.weight
    saved = down.detach().clone(), out.detach().clone()
    before = logits(model, passages[1])
    with ablate_units(model, "neuron", [(1, 3), (1, 7)]), ablate_units(model, "head", [(2, 1)]):
        got = logits(model, passages[1])
    with torch.no_grad():
        down[:, [3, 7]] = 0
        out[:, 8:16] = 0
        want = logits(model, passages[1])
        down.copy_(saved[0])
        out.copy_(saved[1])
    torch.testing.assert_close(got, want)
    assert not torch.equal(got, before)
    assert torch.equal(logits(model, passages[1]), before)


@pytest.mark.parametrize("family", ["qwen3_moe", "mixtral", "olmoe", "phimoe"])
def test_an_experts_neuron_is_what_its_column_of_zeros_does(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    experts = architecture_of(model).downs[0][0].module
    assert experts is not None
    width = experts.down_proj.shape[2]
    saved = experts.down_proj.detach().clone()
    chosen = [(0, expert * width + 2) for expert in range(3)]
    with ablate_units(model, "neuron", chosen):
        got = logits(model, passages[1])
    with torch.no_grad():
        experts.down_proj[:3, :, 2] = 0
        want = logits(model, passages[1])
        experts.down_proj.copy_(saved)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_ablating_every_neuron_of_a_layer_takes_its_mlp_out(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    parts = architecture_of(model)
    outputs: list[Any] = []
    layer = model.model.layers[1]
    mlp = getattr(layer, "mlp", None) or layer.block_sparse_moe
    handle = mlp.register_forward_hook(lambda _m, _a, out: outputs.append(out))
    with ablate_units(model, "neuron", [(1, n) for n in range(parts.unit_counts("neuron")[1])]):
        logits(model, passages[0])
    handle.remove()
    output = outputs[0][0] if isinstance(outputs[0], tuple) else outputs[0]
    assert not output.any()


@pytest.mark.parametrize("family", ["llama", "qwen3_moe", "qwen2_moe"])
def test_means_are_those_over_all_tokens_and_filling_with_them_is_exact(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = tiny(family)
    means = mean_units(model, passages, "neuron")
    lengths = np.array([len(passage.ids) for passage in passages])
    found = capture(model, passages, neurons=Neurons("mean", "all")).neurons
    assert found is not None
    for layer, each in enumerate(found):
        want = (each * lengths[:, None]).sum(0) / lengths.sum()
        np.testing.assert_allclose(means[layer], want, atol=1e-5)
    with ablate_units(model, "neuron", [(1, 0), (1, 5)], means):
        filled = capture(model, passages, neurons=Neurons("max", "all"), layers=[2]).neurons
        plain = mean_units(model, passages, "neuron")
    assert filled is not None
    if family == "llama":
        np.testing.assert_allclose(plain[1][[1, 2]], means[1][[1, 2]], atol=1e-5)


def test_mean_ablation_of_heads_puts_the_mean_in_place(tiny: Tiny, passages: list[Passage]) -> None:
    model = tiny("llama")
    means = mean_units(model, passages, "head")
    assert means[0].shape == (4, 8)
    seen: list[Any] = []
    out = model.model.layers[1].self_attn.o_proj
    with ablate_units(model, "head", [(1, 2)], means):
        handle = out.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
        logits(model, passages[0])
        handle.remove()
    apart = seen[0].unflatten(-1, (4, 8))
    np.testing.assert_allclose(apart[0, :, 2], np.tile(means[1][2], (7, 1)), atol=1e-6)
    assert not np.allclose(apart[0, :, 1], np.tile(means[1][1], (7, 1)))


def test_hooks_come_off_after_an_error(tiny: Tiny, passages: list[Passage]) -> None:
    model = tiny("qwen3_moe")
    before = logits(model, passages[0])
    with pytest.raises(ZeroDivisionError), ablate_units(model, "neuron", [(0, 1)]):
        raise ZeroDivisionError
    assert torch.equal(logits(model, passages[0]), before)
    assert "forward" not in vars(architecture_of(model).downs[0][0].module)


@pytest.mark.parametrize(
    ("units", "message"),
    [([(3, 0)], "layers 0 to 2"), ([(0, 99)], "run from 0 to"), ([(0, -1)], "run from 0 to")],
)
def test_units_that_do_not_exist_are_named(
    tiny: Tiny, units: list[tuple[int, int]], message: str
) -> None:
    kinds: tuple[UnitKind, ...] = ("head", "neuron")
    for kind in kinds:
        with pytest.raises(RimError, match=message), ablate_units(tiny("llama"), kind, units):
            pass


def test_random_neurons_write_as_much_as_the_set_on_harmful_prompts_with_their_replies(
    handle: ModelHandle, toy: Prompts
) -> None:
    some = Prompts(toy.harmful[:2])
    config = AnalysisConfig(
        handle, some, load_reply_judge("toy_exact"), lambda _: "", {}, max_new_tokens=32
    )
    ablate = UnitAblation(config, "neuron")
    texts = handle.passages(some.harmful, "no_think", config.replies(some.harmful, "no_think"))
    active = capture_neurons(handle.model, texts, "mean_abs", "text").mean(0)
    downs = [layer.mlp.down_proj.weight for layer in handle.model.model.layers]
    writes = active * np.concatenate([down.detach().norm(dim=0).numpy() for down in downs])
    np.testing.assert_allclose(ablate.sizes("no_think")[:, 0], writes, rtol=1e-6)
    most = tuple(Unit(2, int(n)) for n in np.argsort(-writes[512:768])[5:17])
    drawn, plain = ablate.draw(most), draw_random_sets(most, ablate.widths, draws=19)
    means = [
        np.mean([writes[512 + n] for units in d.sets for _, n in units]) for d in (drawn, plain)
    ]
    assert drawn.balance[0] == pytest.approx(writes[[512 + n for _, n in most]].mean() / means[0])
    assert drawn.balance[0] < 2
    assert means[0] > 1.5 * means[1]
    found = ablate.effects(most, "no_think")
    assert found.balance == pytest.approx(drawn.balance[0])
    assert UnitAblation(config, "head").draw([(1, 0)]).balance == (), "heads: by layer alone"
