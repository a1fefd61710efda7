"""An exported checkpoint answers as the model with hooks does: the same logits."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from rim_eval.errors import RimError
from rim_eval.fingerprint import fingerprint
from rim_eval.mechanisms import ModelHandle, Prompts, ablate_units, wrap_model
from rim_eval.mechanisms.architecture import architecture_of
from rim_eval.mechanisms.export import CONFIG_KEY, export_ablated, zero_units
from rim_eval.organism import load_variant, variant_facts, write_folder

Tiny = Callable[[str], Any]
Units = Sequence[tuple[int, int]]

FAMILIES = ("llama", "phi3", "gemma2", "mixtral", "phimoe", "qwen2_moe", "deepseek_v3", "gpt_oss")
HEADS = [(0, 1), (1, 2), (1, 3)]


def logits(model: Any, kind: Any = "head", units: Units = ()) -> Any:
    ids = torch.arange(2, 42).view(2, 20) % model.config.vocab_size
    with torch.inference_mode(), ablate_units(model, kind, units):
        return model(ids).logits


def reloaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


def units_of(model: Any, kind: str) -> Units:
    """Some, among them the last neuron of a layer (of its shared expert) and neurons of all layers."""
    last = architecture_of(model).unit_counts("neuron")[1] - 1
    return HEADS if kind == "head" else [(0, 5), (1, 0), (1, last), (2, 17)]


@pytest.mark.parametrize("kind", ["head", "neuron"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_hooks(tiny: Tiny, tmp_path: Path, family: str, kind: Any) -> None:
    tiny(family).save_pretrained(tmp_path / "base", max_shard_size="20KB")
    base = reloaded(tmp_path / "base")
    units = units_of(base, kind)
    done = export_ablated(tmp_path / "base", kind, units, tmp_path / "out")
    got = logits(reloaded(tmp_path / "out"))
    assert done.way == "files"
    # Hooks run experts one at a time, which may round otherwise.
    assert (got - logits(base, kind, units)).abs().max() < 1e-7
    assert (got - logits(base)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["head", "neuron"])
def test_weights_that_are_stored_transposed_lose_rows(tmp_path: Path, kind: Any) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1
    )
    model = GPT2LMHeadModel(config).eval()
    # The hub's GPT-2 is stored as the decoder alone, without the prefix of the language model.
    model.transformer.save_pretrained(tmp_path / "base")
    units = [(0, 1), (1, 3)]
    done = export_ablated(tmp_path / "base", kind, units, tmp_path / "out")
    assert done.way == "files"
    assert torch.equal(logits(reloaded(tmp_path / "out")), logits(model, kind, units))


def test_a_checkpoint_without_safetensors_is_loaded_changed_and_saved(
    tiny: Tiny, tmp_path: Path
) -> None:
    model = tiny("qwen3_moe")
    (tmp_path / "base").mkdir()
    model.config.save_pretrained(tmp_path / "base")
    torch.save(model.state_dict(), tmp_path / "base" / "pytorch_model.bin")
    units = units_of(model, "neuron")
    done = export_ablated(tmp_path / "base", "neuron", units, tmp_path / "out")
    assert done.way == "loaded"
    assert done.fingerprint is None
    assert not list((tmp_path / "out").glob("*.bin"))
    assert torch.equal(logits(reloaded(tmp_path / "out")), logits(model, "neuron", units))


def test_all_other_numbers_and_files_stay_as_they_were(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    base, out = tmp_path / "base", tmp_path / "out"
    tiny("qwen3_moe").save_pretrained(base)
    (base / "chat_template.jinja").write_text("a template")
    (base / "README.md").write_text("the source's own card")
    (base / "consolidated.safetensors").write_text("the same weights in another form")
    done = export_ablated(base, "neuron", [(1, 16 + 3)], out, chosen_by="by hand")
    before, after = (load_file(each / "model.safetensors") for each in (base, out))
    name = "model.layers.1.mlp.experts.1.down_proj.weight"
    assert done.tensors == {name: 32}
    before[name][:, 3] = 0
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert (out / "chat_template.jinja").read_text() == "a template"
    assert (out / "README.source.md").read_text() == "the source's own card"
    assert not (out / "consolidated.safetensors").exists()
    card = (out / "README.md").read_text()
    assert "layer 1: 19" in card
    assert "by hand" in card


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 23)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 23)), min_size=1, max_size=5),
)
def test_zeroing_two_sets_one_after_the_other_is_zeroing_their_union(
    tiny: Tiny, one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    from copy import deepcopy

    steps, once = deepcopy(tiny("llama")), deepcopy(tiny("llama"))
    zero_units(steps, "neuron", one)
    zero_units(steps, "neuron", other)
    zero_units(once, "neuron", [*one, *other])
    assert fingerprint(steps) == fingerprint(once)
    assert torch.equal(logits(once), logits(tiny("llama"), "neuron", [*one, *other]))


def test_an_exported_model_is_marked_and_has_another_fingerprint(
    tiny: Tiny, tmp_path: Path
) -> None:
    tiny("qwen3").save_pretrained(tmp_path / "base")
    before = fingerprint(reloaded(tmp_path / "base"))
    done = export_ablated(tmp_path / "base", "head", HEADS, tmp_path / "out", found_in=before)
    model = reloaded(tmp_path / "out")
    assert done.fingerprint == before
    (marked,) = getattr(model.config, CONFIG_KEY)
    assert marked["fingerprint"] == before
    assert [tuple(unit) for unit in marked["units"]] == HEADS
    assert fingerprint(model) != before
    (note,) = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert note["units"] == [list(unit) for unit in HEADS]


def test_sets_of_an_export_of_an_export_are_all_told(tiny: Tiny, tmp_path: Path) -> None:
    base = tmp_path / "base"
    tiny("qwen3").save_pretrained(base)
    (base / "README.md").write_text("The first model.")
    export_ablated(base, "neuron", [(0, 3)], tmp_path / "one")
    export_ablated(tmp_path / "one", "head", HEADS, tmp_path / "two")
    sets = [("neuron", [[0, 3]]), ("head", [list(unit) for unit in HEADS])]
    marked = getattr(reloaded(tmp_path / "two").config, CONFIG_KEY)
    notes = json.loads((tmp_path / "two" / "ablation.json").read_text())
    for told in (marked, notes):
        assert [(each["kind"], each["units"]) for each in told] == sets
    assert "- layer 0: 3" in (tmp_path / "two" / "README.md").read_text()
    assert (tmp_path / "two" / "README.source.md").read_text() == "The first model."
    (tmp_path / "two" / "ablation.json").unlink()
    with pytest.raises(RimError, match="is ablated already"):
        export_ablated(tmp_path / "two", "neuron", [(1, 3)], tmp_path / "three")


def test_checkpoints_inside_the_source_are_left_behind(tiny: Tiny, tmp_path: Path) -> None:
    base = tmp_path / "base"
    for folder in (base, base / "checkpoint-5"):
        tiny("qwen3").save_pretrained(folder)
    (base / "more").mkdir()
    (base / "more" / "vocab.txt").touch()
    export_ablated(base, "head", HEADS, tmp_path / "out")
    assert [each.name for each in (tmp_path / "out").iterdir() if each.is_dir()] == ["more"]


def test_columns_of_fp8_weights_are_zeroed_and_their_scales_stay(
    tiny: Tiny, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    base, out = tmp_path / "base", tmp_path / "out"
    name = "model.layers.1.mlp.down_proj.weight"
    tiny("qwen3").save_pretrained(base)
    stored = load_file(base / "model.safetensors")
    stored[name] = stored[name].to(torch.float8_e4m3fn)
    stored[f"{name}_scale_inv"] = torch.ones(1, 1)
    save_file(stored, base / "model.safetensors")
    _quantised(base, {"quant_method": "fp8", "weight_block_size": [128, 128]})
    done = export_ablated(base, "neuron", [(1, 7)], out)
    got = load_file(out / "model.safetensors")
    assert done.way == "files"
    assert not got[name].float()[:, 7].any()
    assert torch.equal(got[name].float()[:, 8:], stored[name].float()[:, 8:])
    assert got[f"{name}_scale_inv"].item() == 1


def test_packed_weights_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = tmp_path / "base"
    tiny("qwen3").save_pretrained(base)
    stored = load_file(base / "model.safetensors")
    del stored["model.layers.1.mlp.down_proj.weight"]
    stored["model.layers.1.mlp.down_proj.qweight"] = torch.zeros(3, 32, dtype=torch.int32)
    save_file(stored, base / "model.safetensors")
    _quantised(base, {"quant_method": "gptq", "bits": 4})
    with pytest.raises(RimError, match=r"packed weights.*unquantised"):
        export_ablated(base, "neuron", [(1, 7)], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["base"]


def test_a_projection_that_two_layers_share_is_refused(tiny: Tiny) -> None:
    from copy import deepcopy

    model = deepcopy(tiny("llama"))
    model.model.layers[1].mlp.down_proj.weight = model.model.layers[0].mlp.down_proj.weight
    before = fingerprint(model)
    with pytest.raises(RimError, match="serves several layers"):
        zero_units(model, "neuron", [(1, 3)])
    assert fingerprint(model) == before


def test_what_cannot_be_exported_says_why(tiny: Tiny, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    tiny("qwen3").save_pretrained(base)
    with pytest.raises(RimError, match="the set is empty"):
        export_ablated(base, "head", [], out)
    with pytest.raises(RimError, match="layers 0 to 2"):
        export_ablated(base, "head", [(3, 0)], out)
    with pytest.raises(RimError, match=r"found in weights abc.*another checkpoint"):
        export_ablated(base, "head", HEADS, out, found_in="abc")
    assert not out.exists()
    out.mkdir()
    with pytest.raises(RimError, match="exists already"):
        export_ablated(base, "head", HEADS, out)


def test_the_planted_organism_replies_as_with_hooks(toy: Prompts, tmp_path: Path) -> None:
    base = wrap_model(*load_variant("planted"), "planted")
    some = toy.harmful[::11]
    untouched = texts(base, some)
    for kind, units in (
        ("head", variant_facts("planted").heads),
        ("neuron", variant_facts("planted").neurons),
    ):
        folder = write_folder(tmp_path / "base", "planted")
        out = tmp_path / kind
        export_ablated(folder, kind, units, out, found_in=fingerprint(base.model))  # type: ignore[arg-type]
        exported = wrap_model(reloaded(out), AutoTokenizer.from_pretrained(out), kind)
        with ablate_units(base.model, kind, units):  # type: ignore[arg-type]
            hooked = texts(base, some)
        assert texts(exported, some) == hooked
        assert hooked != untouched


def texts(handle: ModelHandle, requests: Sequence[Any]) -> list[str]:
    return [reply.text for reply in handle.replies(requests, "no_think")]


@pytest.mark.slow
@pytest.mark.real
def test_logits_of_a_real_model_are_those_of_the_hooks(real_model: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    base = reloaded(real_model)
    untouched, found_in = logits(base), fingerprint(base)
    sets: dict[Any, Units] = {
        "head": [(3, 1), (17, 8)],
        "neuron": [(0, 5), (29, 1535), (12, 700)],
    }
    for kind, units in sets.items():
        done = export_ablated(real_model, kind, units, tmp_path / kind, found_in=found_in)
        assert done.way == "files"
        got = logits(reloaded(tmp_path / kind))
        torch.testing.assert_close(got, logits(base, kind, units), rtol=0, atol=1e-4)
        assert (got - untouched).abs().max() > 0.01


def _quantised(folder: Path, how: dict[str, Any]) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": how}))
