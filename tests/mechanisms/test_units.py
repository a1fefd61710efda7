import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms import Unit, frozen
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.units import outgoing_sizes, overlap, relative_change, weight_change

Tiny = Callable[[str], Any]


def test_the_equation_by_hand() -> None:
    base = [torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), torch.zeros(4, 1)]
    tuned = [torch.tensor([[3.0, 4.0], [0.0, 0.0], [2.0, 0.0], [1.0, 0.0]]), torch.zeros(4, 1)]
    tuned[1][0], tuned[1][3] = 10.0, 0.5
    np.testing.assert_allclose(relative_change(base, tuned), [2.0, 0.0, np.inf, 0.5])


# A neuron of each, and by how much its weights of either kind are scaled.
@pytest.mark.parametrize(
    ("family", "neuron"),
    [("llama", 5), ("phi3", 5), ("qwen3_moe", 16 + 5), ("qwen2_moe", 64 + 5), ("deepseek_v3", 70)],
)
@pytest.mark.parametrize(("outgoing", "incoming"), [(0.25, 0.0), (0.0, 0.5), (-1.0, 2.0)])
def test_scaling_a_neurons_weights_changes_them_by_that_share_and_no_others(
    tiny: Tiny, family: str, neuron: int, outgoing: float, incoming: float
) -> None:
    base, tuned = tiny(family), copy.deepcopy(tiny(family))
    with torch.no_grad():
        mlp = tuned.model.layers[1].mlp
        for weight in _written(mlp, neuron):
            weight *= 1 + outgoing
        for weight in _read(mlp, neuron):
            weight *= 1 + incoming
    found = weight_change(base, tuned)
    parts = architecture_of(base)
    column = parts.unit_counts("neuron")[0] + neuron
    assert len(found.outgoing) == len(found.incoming) == sum(parts.unit_counts("neuron"))
    for values, share in ((found.outgoing, outgoing), (found.incoming, incoming)):
        want = np.zeros(len(values))
        want[column] = abs(share)
        np.testing.assert_allclose(values, want, rtol=1e-5)


def _dense(mlp: Any, neuron: int) -> tuple[Any, int] | None:
    if not hasattr(mlp, "experts"):
        return mlp, neuron
    shared = getattr(mlp, "shared_expert", getattr(mlp, "shared_experts", None))
    return (shared, neuron - 64) if neuron >= 64 else None


def _written(mlp: Any, neuron: int) -> list[Any]:
    dense = _dense(mlp, neuron)
    if dense is None:
        return [mlp.experts.down_proj[neuron // 16, :, neuron % 16]]
    return [dense[0].down_proj.weight[:, dense[1]]]


def _read(mlp: Any, neuron: int) -> list[Any]:
    dense = _dense(mlp, neuron)
    if dense is None:
        gate_up, row = mlp.experts.gate_up_proj[neuron // 16], neuron % 16
        return [gate_up[row], gate_up[16 + row]]
    module, row = dense
    if hasattr(module, "gate_up_proj"):
        weight = module.gate_up_proj.weight
        return [weight[row], weight[len(weight) // 2 + row]]
    return [module.gate_proj.weight[row], module.up_proj.weight[row]]


def test_an_unchanged_model_has_changed_by_exactly_nothing(tiny: Tiny) -> None:
    found = weight_change(tiny("llama"), copy.deepcopy(tiny("llama")))
    assert not found.outgoing.any()
    assert not found.incoming.any()
    downs = [layer.mlp.down_proj.weight for layer in tiny("llama").model.layers]
    norms = np.concatenate([down.detach().norm(dim=0).numpy() for down in downs])
    np.testing.assert_allclose(found.sizes, norms, rtol=1e-6)


def test_models_of_other_shapes_are_refused(tiny: Tiny) -> None:
    with pytest.raises(RimError, match="differ in the shape"):
        weight_change(tiny("llama"), tiny("qwen3_moe"))


@pytest.mark.parametrize("shape", [(32 * 24 // 2, 1), (16, 24), (32, 24)])
def test_packed_weights_are_refused(tiny: Tiny, shape: tuple[int, int]) -> None:
    """4 bits a number in bitsandbytes' shape, two rows in one, and codes of 8 bits."""

    model = copy.deepcopy(tiny("qwen3"))
    down = model.model.layers[1].mlp.down_proj
    true = down.weight.detach()
    down.forward = lambda acts: torch.nn.functional.linear(acts, true)
    down.weight = torch.nn.Parameter(torch.ones(shape, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(RimError, match="is packed"):
        outgoing_sizes(model)
    with pytest.raises(RimError, match="is packed"):
        weight_change(model, model)
    with pytest.raises(RimError, match="is packed"), frozen(model, [(1, 3)]):
        pass


def test_weights_with_other_rows_than_neurons_are_refused(tiny: Tiny) -> None:
    model = copy.deepcopy(tiny("qwen3"))
    gate = model.model.layers[1].mlp.gate_proj
    true = gate.weight.detach()
    gate.forward = lambda acts: torch.nn.functional.linear(acts, true)
    gate.weight = torch.nn.Parameter(torch.ones(12, 32))
    with pytest.raises(RimError, match=r"24 neurons, \(12, 32\)"):
        weight_change(model, model)


def test_overlap_counts_and_its_expectation_is_the_hypergeometric_mean() -> None:
    first = [Unit(0, i) for i in range(10)] + [Unit(1, 0)]
    second = [Unit(0, i) for i in range(5, 15)] + [Unit(2, 0)]
    found = overlap(first, second, [100] * 10)
    assert (found.shared, found.first, found.second) == (5, 11, 11)
    assert found.expected == pytest.approx(10 * 10 / 100)
    assert found.p_value < 0.01
    # P(X >= 5) of a hypergeometric with 100, 10, 10, in closed form.
    from scipy.stats import hypergeom

    assert found.p_value == pytest.approx(hypergeom.sf(4, 100, 10, 10), abs=2e-3)


def test_overlap_of_chance_sets_is_no_finding() -> None:
    rng = np.random.default_rng(0)
    one, other = ([Unit(0, int(i)) for i in rng.choice(50, 20, replace=False)] for _ in range(2))
    assert overlap(one, other, [50] * 10).p_value > 0.05


def test_overlap_of_nothing_is_what_chance_gives() -> None:
    found = overlap([], [], [5])
    assert (found.shared, found.expected, found.p_value) == (0, 0, 1)
