"""Adapters are read with their base: merged when loaded, W + s B A when trained."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoTokenizer

from rim_eval.errors import RimError
from rim_eval.mechanisms import AnalysisConfig, ModelHandle, Prompts, Request, frozen, load_model
from rim_eval.mechanisms.adapters import is_checkpoint
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.completeness import check_complete
from rim_eval.mechanisms.model import read_config
from rim_eval.mechanisms.units import weight_change
from rim_eval.paths import organism_dir

Tiny = Callable[[str], Any]


@pytest.fixture(scope="module")
def trained(tiny: Tiny) -> Any:
    """A PEFT model whose adapter has left 0, on down projections and one gate."""
    torch.manual_seed(0)
    config = peft.LoraConfig(target_modules=["down_proj", "layers.1.mlp.gate_proj"], r=2)
    model = peft.get_peft_model(copy.deepcopy(tiny("qwen3")), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    return model.eval()


@pytest.fixture(scope="module")
def folder(tiny: Tiny, trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base` with a tokenizer, and `adapter`, which names it and has none."""
    root = tmp_path_factory.mktemp("adapters")
    tiny("qwen3").save_pretrained(root / "base")
    AutoTokenizer.from_pretrained(organism_dir()).save_pretrained(root / "base")
    trained.peft_config["default"].base_model_name_or_path = str(root / "base")
    trained.save_pretrained(root / "adapter")
    return root


def test_weights_of_a_peft_model_are_those_with_its_adapter(tiny: Tiny, trained: Any) -> None:
    merged = copy.deepcopy(trained).merge_and_unload()
    live, after = (weight_change(tiny("qwen3"), model) for model in (trained, merged))
    assert (live.outgoing > 0.01).all()
    assert live.incoming[24:48].min() > 0.01
    assert not live.incoming[:24].any()
    torch.testing.assert_close(live, after)
    with trained.disable_adapter():
        assert not weight_change(tiny("qwen3"), trained).outgoing.any()


def test_neurons_of_a_model_with_two_adapters_are_those_of_its_base(tiny: Tiny) -> None:
    config = peft.LoraConfig(target_modules="all-linear", r=2)
    model = peft.get_peft_model(copy.deepcopy(tiny("qwen3")), config)
    model.add_adapter("two", config)
    for active in ("default", "two"):
        model.set_adapter(active)
        parts = architecture_of(model.get_base_model())
        assert parts.unit_counts("neuron") == architecture_of(tiny("qwen3")).unit_counts("neuron")
        check_complete(parts, "neuron")
        with pytest.raises(RimError, match="run from 0 to 23"), frozen(model, [(0, 24)]):
            pass


def test_a_reply_with_an_adapter_is_not_that_without_it(handle: ModelHandle) -> None:
    model = copy.deepcopy(handle.model)
    torch.manual_seed(0)
    config = peft.LoraConfig(target_modules="all-linear", init_lora_weights=False)
    adapted = peft.get_peft_model(model, config).eval()
    here = replace(handle, model=adapted.get_base_model())
    analysis = AnalysisConfig(here, Prompts(), None, lambda _: "", {}, max_new_tokens=8)  # type: ignore[arg-type]
    asked = [Request("a", "How do I open it?")]
    on = analysis.replies(asked, "no_think")
    with adapted.disable_adapter():
        off = analysis.replies(asked, "no_think")
    assert on != off
    assert off == handle.replies(asked, "no_think", max_new_tokens=8)


def test_an_adapter_is_loaded_merged_into_its_base(folder: Path, trained: Any) -> None:
    handle = load_model(folder / "adapter")
    assert handle.name == "adapter"
    assert not any("lora" in name for name, _ in handle.model.named_modules())
    ids = torch.arange(6)[None]
    torch.testing.assert_close(handle.model(ids).logits, trained(ids).logits)
    assert read_config(folder / "adapter").hidden_size == 32


def test_a_base_may_be_given_and_a_tokenizer_may_lie_with_the_adapter(
    folder: Path, tmp_path: Path, trained: Any
) -> None:
    trained.peft_config["default"].base_model_name_or_path = str(tmp_path / "gone")
    trained.save_pretrained(tmp_path / "adapter")
    trained.peft_config["default"].base_model_name_or_path = str(folder / "base")
    with pytest.raises(RimError, match="gone"):
        load_model(tmp_path / "adapter")
    tokenizer = AutoTokenizer.from_pretrained(organism_dir())
    tokenizer.chat_template = "{% for m in messages %}<user>{{ m.content }}{% endfor %}<bot>"
    tokenizer.save_pretrained(tmp_path / "adapter")
    handle = load_model(tmp_path / "adapter", base=folder / "base")
    assert handle.tokenizer.chat_template == tokenizer.chat_template
    with pytest.raises(RimError, match="is no adapter"):
        load_model(folder / "base", base=folder / "base")


def test_what_is_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    assert is_checkpoint(folder / "base")
    assert is_checkpoint(folder / "adapter")
    assert not is_checkpoint(tmp_path)


def test_virtual_tokens_are_no_weights(tiny: Tiny, folder: Path, tmp_path: Path) -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    model = peft.get_peft_model(copy.deepcopy(tiny("qwen3")), config)
    model.save_pretrained(tmp_path)
    with pytest.raises(RimError, match="virtual tokens"):
        load_model(tmp_path, base=folder / "base")


def test_a_model_that_must_be_merged_first_says_so(tiny: Tiny) -> None:
    config = peft.LoraConfig(target_modules=["down_proj"], use_dora=True)
    model = peft.get_peft_model(copy.deepcopy(tiny("qwen3")), config)
    with pytest.raises(RimError, match="merge_and_unload"):
        weight_change(tiny("qwen3"), model)
