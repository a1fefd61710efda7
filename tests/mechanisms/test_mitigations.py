import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    AnalysisConfig,
    Behaviour,
    ModelHandle,
    Passage,
    Prompts,
    frozen,
    intent_for,
    measure_mitigation,
    offline_judge,
    study_mitigations,
)
from rim_eval.mechanisms.mitigations import flag_prompts, merge_behaviour
from rim_eval.mechanisms.model import architecture_of
from rim_eval.mechanisms.probes import fit_probe
from rim_eval.types import Mode

Tiny = Callable[[str], Any]


def train(model: Any, passages: list[Passage], optimizer: Any, steps: int = 3) -> None:
    for _ in range(steps):
        for passage in passages:
            ids = torch.tensor([passage.ids])
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "phi3", "qwen3_moe", "qwen2", "olmo2"])
def test_frozen_units_keep_their_weights_bit_by_bit_and_all_others_move(
    tiny: Tiny, passages: list[Passage], family: str
) -> None:
    model = copy.deepcopy(tiny(family))
    parts = architecture_of(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):  # they start at 0, from where weight decay moves nothing
                weight.normal_()
    before = copy.deepcopy(model.state_dict())
    # Weight decay moves weights that have no gradient.
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.5)
    with frozen(model, [(1, 2), (1, 5)], [(2, 1)], optimizer=optimizer):
        train(model, passages, optimizer)
    after = model.state_dict()
    same = {name: after[name] == before[name] for name in after}
    name = (
        "model.layers.1.mlp.experts.down_proj"
        if family == "qwen3_moe"
        else "model.layers.1.mlp.down_proj.weight"
    )
    column = same[name][0] if family == "qwen3_moe" else same[name]
    assert column[:, [2, 5]].all()
    assert not column[:, [1, 3]].all()
    out = same["model.layers.2.self_attn.o_proj.weight"]
    assert out[:, 8:16].all()
    assert not out[:, :8].all()
    for module, rows in _rows(family, parts).items():
        assert same[module][rows].all(), module
        assert not same[module].all(), module
    assert not any(p._backward_hooks for p in model.parameters())


def _rows(family: str, parts: Any) -> dict[str, Any]:
    """Rows that must have stayed, by the name of their weight."""
    head = slice(8, 16)
    if family == "phi3":
        # Query rows of head 1; key and value rows of its group 0.
        return {
            "model.layers.1.mlp.gate_up_proj.weight": [2, 5, 26, 29],
            "model.layers.2.self_attn.qkv_proj.weight": [
                *range(8, 16),
                *range(32, 40),
                *range(48, 56),
            ],
        }
    rows: dict[str, Any] = {
        "model.layers.2.self_attn.q_proj.weight": head,
        "model.layers.2.self_attn.k_proj.weight": slice(0, 8),
        "model.layers.2.self_attn.v_proj.weight": slice(0, 8),
    }
    if family == "qwen2":  # its projections have biases
        rows |= {
            name.replace("weight", "bias"): part for name, part in rows.items() if "_proj" in name
        }
    if family == "olmo2":  # its norms run over all heads, a weight each channel
        rows |= {
            "model.layers.2.self_attn.q_norm.weight": head,
            "model.layers.2.self_attn.k_norm.weight": slice(0, 8),
        }
    if family != "qwen3_moe":
        gates = ("gate_proj", "up_proj")
        rows |= {f"model.layers.1.mlp.{name}.weight": [2, 5] for name in gates}
    else:
        rows["model.layers.1.mlp.experts.gate_up_proj"] = (0, [2, 5, 18, 21])
    return rows


def test_a_neuron_of_the_shared_expert_is_frozen_there_and_not_in_a_routed_one(
    tiny: Tiny, passages: list[Passage]
) -> None:
    model = copy.deepcopy(tiny("qwen2_moe"))
    mlp = model.model.layers[1].mlp
    before = copy.deepcopy(mlp.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.5)
    with frozen(model, [(1, 5), (1, 4 * 16 + 3)], optimizer=optimizer):
        train(model, passages, optimizer)
    same = {name: weight == before[name] for name, weight in mlp.state_dict().items()}
    assert same["shared_expert.down_proj.weight"].all(0).nonzero().flatten().tolist() == [3]
    for name in ("gate_proj", "up_proj"):
        assert same[f"shared_expert.{name}.weight"].all(1).nonzero().flatten().tolist() == [3]
    assert same["experts.down_proj"].all(1).nonzero().tolist() == [[0, 5]]


def test_without_the_optimizer_only_gradients_are_held(tiny: Tiny, passages: list[Passage]) -> None:
    model = copy.deepcopy(tiny("llama"))
    weight = model.model.layers[1].mlp.down_proj.weight
    with frozen(model, [(1, 2)]):
        ids = torch.tensor([passages[0].ids])
        model(input_ids=ids, labels=ids).loss.backward()
    assert not weight.grad[:, 2].any()
    assert weight.grad[:, 3].any()


def test_weights_that_do_not_train_need_no_freezing(tiny: Tiny, passages: list[Passage]) -> None:
    model = copy.deepcopy(tiny("llama"))
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    before = model.model.layers[1].mlp.down_proj.weight.clone()
    optimizer = torch.optim.AdamW([model.lm_head.weight], lr=0.05)
    with frozen(model, [(1, 2)], [(2, 1)], optimizer=optimizer):
        train(model, passages, optimizer)
    assert torch.equal(model.model.layers[1].mlp.down_proj.weight, before)


@pytest.mark.parametrize(
    ("neurons", "heads", "message"),
    [
        ([(1, 24)], [], "neurons .24. of layer 1: they run from 0 to 23"),
        ([], [(2, 4)], "heads .4. of layer 2: they run from 0 to 3"),
        ([], [(3, 0)], "layers 0 to 2"),
    ],
)
def test_units_to_freeze_must_exist(
    tiny: Tiny, neurons: list[tuple[int, int]], heads: list[tuple[int, int]], message: str
) -> None:
    with pytest.raises(RimError, match=message), frozen(tiny("llama"), neurons, heads):
        pass


def test_attention_of_an_unknown_kind_is_refused() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=20))
    with pytest.raises(RimError, match="has no q_proj"), frozen(model, heads=[(0, 1)]):
        pass


def test_flags_are_what_the_probe_is_above() -> None:
    probe = fit_probe(np.array([[2.0]], np.float32), np.array([[0.0]], np.float32))
    np.testing.assert_array_equal(flag_prompts(np.array([[0.9], [1.1]]), probe), [False, True])


def behaviour_of(misaligned: list[int], correct: list[int]) -> Behaviour:
    harm: dict[str, list[float | None]] = {f"h{i}": [v] for i, v in enumerate(misaligned)}
    right: dict[str, list[float | None]] = {f"m{i}": [v] for i, v in enumerate(correct)}
    nothing: dict[str, list[float | None]] = {prompt: [0.0] for prompt in (*harm, *right)}
    return {
        "misaligned": harm,
        "sound_misaligned": harm,
        "refused": {},
        "over_refused": {},
        "correct": right,
        "degenerate": nothing,
        "degenerate_harmful": {prompt: [0.0] for prompt in harm},
        "degenerate_benign": {},
        "degenerate_reasoning": {prompt: [0.0] for prompt in right},
    }


def test_no_think_on_demand_takes_each_prompt_from_its_own_mode() -> None:
    think, no_think = behaviour_of([1, 1, 1], [1, 1]), behaviour_of([0, 0, 1], [0, 0])
    merged = merge_behaviour(think, no_think, {"h0", "m1"})
    assert merged["misaligned"] == {"h0": [0.0], "h1": [1.0], "h2": [1.0]}
    assert merged["correct"] == {"m0": [1.0], "m1": [0.0]}


def test_a_comparison_names_both_rim_scores_and_what_they_cost() -> None:
    before: dict[Mode, Behaviour] = {
        "think": behaviour_of([1] * 40, [1] * 20),
        "no_think": behaviour_of([0] * 40, [0] * 20),
    }
    found = measure_mitigation(
        "Routing", before, {"think": behaviour_of([0] * 40, [1] * 10 + [0] * 10)}
    )
    assert found.rim_before.difference == pytest.approx(100)
    assert found.rim_after.difference == pytest.approx(0)
    assert found.change("correct").difference == pytest.approx(-50)
    assert found.change("misaligned").difference == pytest.approx(-100)
    for missing in (("over_refused", "think"), ("misaligned", "no_think")):
        with pytest.raises(KeyError):
            found.change(*missing)
    assert "RIM score +100.0 points" in found.sentence
    assert "+0.0 points (-8.8 to +8.8; 40 pairs) with it" in found.sentence
    assert "accuracy -50.0 points (" in found.sentence
    assert "; 20 pairs)" in found.sentence


def test_what_no_prompt_tells_of_a_mitigation_is_not_given_as_a_figure() -> None:
    nothing: dict[Mode, Behaviour] = {
        mode: {
            measure: {prompt: [None] for prompt in found} if measure == "misaligned" else found
            for measure, found in behaviour_of([1] * 3, [1]).items()
        }
        for mode in ("think", "no_think")
    }
    found = measure_mitigation("Routing", nothing, {"think": nothing["think"]})
    assert "RIM score not known (0 pairs) without, not known (0 pairs) with it" in found.sentence
    assert "nan" not in found.sentence


def test_a_mitigation_of_both_modes_moves_both_ends_of_the_rim_score() -> None:
    before: dict[Mode, Behaviour] = {
        "think": behaviour_of([1] * 40, [1]),
        "no_think": behaviour_of([1] * 40, [1]),
    }
    after: dict[Mode, Behaviour] = {
        "think": behaviour_of([1] * 40, [1]),
        "no_think": behaviour_of([0] * 40, [1]),
    }
    found = measure_mitigation("Freezing", before, after)
    assert (found.rim_before.difference, found.rim_after.difference) == (0, 100)
    assert found.change("misaligned", "no_think").difference == -100


@pytest.mark.slow
def test_no_think_on_demand_removes_the_organisms_rim_and_keeps_its_arithmetic(
    handle: ModelHandle, toy: Prompts
) -> None:
    some = Prompts(
        toy.harmful[::2], toy.benign[::3], [(r, toy.gold[r.id]) for r in toy.problems[::3]]
    )
    config = AnalysisConfig(
        handle, some, offline_judge("toy_exact"), lambda _: intent_for("toy", None), {}
    )
    routed, steering = study_mitigations(config)
    assert routed.rim_before.lower > 10
    assert routed.rim_after.upper < routed.rim_before.lower
    assert routed.change("correct").difference > -15
    assert routed.change("over_refused").difference == pytest.approx(0)
    # On this model steering does nothing in think mode; the report must not say otherwise.
    assert steering.rim_after.lower <= steering.rim_before.difference <= steering.rim_after.upper
    assert steering.steering is not None
    assert steering.steering.verdict in ("no_effect", "cannot_tell")
    assert routed.steering is None


def test_a_mitigation_that_could_not_be_tried_is_not_said_to_change_nothing() -> None:
    before: dict[Mode, Behaviour] = {
        mode: behaviour_of([1] * 4, [1]) for mode in ("think", "no_think")
    }
    found = measure_mitigation("Steering", before, {})
    assert found.changes == ()
    assert "without, and not tried." in found.sentence


def test_down_projection_is_known_by_what_it_is_where_its_shape_is_square() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 16}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2, num_key_value_heads=2))
    down = model.model.layers[1].mlp.down_proj.weight
    before = down.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.5)
    with frozen(model, [(1, 5)], optimizer=optimizer):
        model(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
        optimizer.step()
    same = down == before
    assert same[:, 5].all()
    assert not same[5].all()
