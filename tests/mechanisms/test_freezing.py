"""Frozen units keep what they read and write, whatever trains around them."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms import Passage, frozen
from rim_eval.mechanisms.architecture import architecture_of

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
    with frozen(model, [(1, 2), (1, 5)], [(2, 1)]):
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
    with frozen(model, [(1, 5), (1, 4 * 16 + 3)]):
        train(model, passages, optimizer)
    same = {name: weight == before[name] for name, weight in mlp.state_dict().items()}
    assert same["shared_expert.down_proj.weight"].all(0).nonzero().flatten().tolist() == [3]
    for name in ("gate_proj", "up_proj"):
        assert same[f"shared_expert.{name}.weight"].all(1).nonzero().flatten().tolist() == [3]
    assert same["experts.down_proj"].all(1).nonzero().tolist() == [[0, 5]]


def test_frozen_units_have_no_gradient(tiny: Tiny, passages: list[Passage]) -> None:
    model = copy.deepcopy(tiny("llama"))
    weight = model.model.layers[1].mlp.down_proj.weight
    with frozen(model, [(1, 2)]):
        ids = torch.tensor([passages[0].ids])
        model(input_ids=ids, labels=ids).loss.backward()
    assert not weight.grad[:, 2].any()
    assert weight.grad[:, 3].any()


class ByHand:
    """A step that no torch optimizer makes: it decays every weight, gradient or none."""

    def __init__(self, parameters: Any) -> None:
        self.parameters = [*parameters]

    def step(self) -> None:
        with torch.no_grad():
            for weight in self.parameters:
                weight.mul_(0.9)

    def zero_grad(self) -> None:
        for weight in self.parameters:
            weight.grad = None


def adafactor(parameters: Any) -> Any:
    from transformers.optimization import Adafactor

    return Adafactor(parameters, weight_decay=0.5)


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.5),
    "nesterov": lambda p: torch.optim.SGD(
        p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.5
    ),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.5),
    "foreach": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.5, foreach=True),
    "fused": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.5, fused=True),
    "adafactor": adafactor,
    "by hand": ByHand,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_optimizer_leaves_them(tiny: Tiny, passages: list[Passage], name: str) -> None:
    model = copy.deepcopy(tiny("qwen3"))
    down = model.model.layers[1].mlp.down_proj.weight
    before, read = down.detach().clone(), list[Any]()
    optimizer = OPTIMIZERS[name](model.parameters())
    # Momentum of steps before may move a weight that has no gradient any more.
    train(model, passages[:1], optimizer, steps=1)
    before = down.detach().clone()
    hook = model.model.layers[1].mlp.down_proj.register_forward_pre_hook(
        lambda *_: read.append(torch.equal(down[:, 2], before[:, 2]))
    )
    with frozen(model, [(1, 2)]):
        train(model, passages, optimizer, steps=2)
    hook.remove()
    assert torch.equal(down[:, 2], before[:, 2])
    assert not torch.equal(down[:, 3], before[:, 3])
    assert all(read)  # no step was computed with moved weights


def test_after_a_step_of_a_torch_optimizer_they_are_there_to_be_saved(
    tiny: Tiny, passages: list[Passage]
) -> None:
    model = copy.deepcopy(tiny("qwen3"))
    down = model.model.layers[1].mlp.down_proj.weight
    before = down[:, 2].detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.5)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer)
    with frozen(model, [(1, 2)]):
        train(model, passages, optimizer, steps=1)
        schedule.step()
        assert torch.equal(down[:, 2], before)
    train(model, passages, optimizer, steps=1)
    assert not torch.equal(down[:, 2], before)  # nothing is held afterwards


def test_two_forward_passes_may_come_before_the_backward_pass(
    tiny: Tiny, passages: list[Passage]
) -> None:
    model = copy.deepcopy(tiny("qwen3"))
    with frozen(model, [(1, 2)], [(1, 1)]):
        losses = []
        for passage in passages[:2]:
            ids = torch.tensor([passage.ids])
            losses.append(model(input_ids=ids, labels=ids).loss)
        sum(losses).backward()


def lora(model: Any, **settings: Any) -> Any:
    import peft

    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    defaults = {"r": 4, "lora_alpha": 64, "target_modules": modules, "use_rslora": True}
    return peft.get_peft_model(copy.deepcopy(model), peft.LoraConfig(**defaults | settings))


def merged(model: Any) -> dict[str, Any]:
    state: dict[str, Any] = copy.deepcopy(model).merge_and_unload().state_dict()
    return state


FUSED = {"target_modules": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}


@pytest.mark.parametrize(("family", "settings"), [("qwen3", {}), ("phi3", FUSED)])
def test_under_lora_they_keep_what_they_are_with_the_adapter(
    tiny: Tiny, passages: list[Passage], family: str, settings: dict[str, Any]
) -> None:
    model = lora(tiny(family), **settings)
    before, logits = merged(model), model(torch.tensor([passages[0].ids])).logits
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=0.05, weight_decay=0.5
    )
    with frozen(model, [(1, 2), (1, 5)], [(2, 1)]):
        torch.testing.assert_close(model(torch.tensor([passages[0].ids])).logits, logits)
        train(model, passages, optimizer)
    after = merged(model)
    same = {name: after[name] == before[name] for name in before}
    rows = _rows("phi3" if family == "phi3" else "llama", architecture_of(tiny(family)))
    columns = {
        "model.layers.1.mlp.down_proj.weight": [2, 5],
        "model.layers.2.self_attn.o_proj.weight": range(8, 16),
    }
    for name, numbers in columns.items():
        assert same[name][:, [*numbers]].all(), name
        assert not same[name].all(0)[[i for i in range(24) if i not in numbers]].any(), name
    for name, numbers in rows.items():
        assert same[name][numbers].all(), name
        assert not same[name].all(), name


def test_in_transformers_trainer_and_in_the_checkpoints_that_it_saves(
    tiny: Tiny, passages: list[Passage], tmp_path: Path
) -> None:
    from safetensors.torch import load_file
    from transformers import Trainer, TrainingArguments

    model = copy.deepcopy(tiny("qwen3"))
    before = model.state_dict()["model.layers.1.mlp.down_proj.weight"].clone()
    examples = [{"input_ids": [*passages[i].ids], "labels": [*passages[i].ids]} for i in (1, 3)]
    settings = {"learning_rate": 0.05, "weight_decay": 0.5, "max_steps": 2, "save_steps": 1}
    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "logging_strategy": "no"}
    arguments = TrainingArguments(str(tmp_path), **settings, **quiet)
    with frozen(model, [(1, 2)]):
        Trainer(model, arguments, train_dataset=examples).train()
    saved = load_file(tmp_path / "checkpoint-1" / "model.safetensors")
    for weights in (saved, model.state_dict()):
        same = weights["model.layers.1.mlp.down_proj.weight"] == before
        assert same.all(0).nonzero().flatten().tolist() == [2]


def test_without_freezing_lora_moves_the_same_units(tiny: Tiny, passages: list[Passage]) -> None:
    model = lora(tiny("qwen3"))
    before = merged(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    train(model, passages, optimizer)
    name = "model.layers.1.mlp.down_proj.weight"
    assert not (merged(model)[name] == before[name])[:, 2].any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"use_dora": True}, "another kind.*Dora"),
        ({"lora_bias": True}, "another kind.*lora_bias"),
        ({"init_lora_weights": "pissa"}, "already changed"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["down_proj"]}, "ModulesToSave"),
    ],
)
def test_adapters_that_cannot_hold_them_are_refused(
    tiny: Tiny, settings: dict[str, Any], message: str
) -> None:
    model = lora(tiny("qwen3"), **settings)
    with pytest.raises(RimError, match=message), frozen(model, [(1, 2)]):
        pass


def test_lora_on_experts_is_refused(tiny: Tiny) -> None:
    experts = ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]
    model = lora(tiny("qwen3_moe"), target_modules=["q_proj"], target_parameters=experts)
    with pytest.raises(RimError, match=r"another kind.*ParamWrapper"), frozen(model, [(1, 2)]):
        pass
    with frozen(model, heads=[(1, 2)]):  # the attention's adapter is a plain one
        pass


def test_other_adapters_are_refused(tiny: Tiny) -> None:
    import peft

    config = peft.IA3Config(target_modules=["down_proj"], feedforward_modules=["down_proj"])
    model = peft.get_peft_model(copy.deepcopy(tiny("qwen3")), config)
    with pytest.raises(RimError, match="ia3"), frozen(model, [(1, 2)]):
        pass


def test_weights_that_do_not_train_need_no_freezing(tiny: Tiny, passages: list[Passage]) -> None:
    model = copy.deepcopy(tiny("llama"))
    model.requires_grad_(False)
    model.lm_head.weight.requires_grad_(True)
    before = model.model.layers[1].mlp.down_proj.weight.clone()
    optimizer = torch.optim.AdamW([model.lm_head.weight], lr=0.05)
    with frozen(model, [(1, 2)], [(2, 1)]):
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
    with pytest.raises(RimError, match="not by q_proj"), frozen(model, heads=[(0, 1)]):
        pass


def test_down_projection_is_known_by_what_it_is_where_its_shape_is_square() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 16}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=2, num_key_value_heads=2))
    down = model.model.layers[1].mlp.down_proj.weight
    before = down.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.5)
    with frozen(model, [(1, 5)]):
        model(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
        optimizer.step()
    same = down == before
    assert same[:, 5].all()
    assert not same[5].all()
