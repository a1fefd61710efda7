from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from rim_eval.errors import RimError
from rim_eval.fingerprint import fingerprint
from rim_eval.mechanisms.checkpoint_files import local_folder, read_tensors, stored_fingerprint

Tiny = Callable[[str], Any]


# Plain, tied, fused experts, experts with a shared one and a buffer that stays fp32, transposed.
@pytest.mark.parametrize("family", ["qwen3", "gemma2", "mixtral", "deepseek_v3", "gpt_oss"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_fingerprint_of_the_files_is_that_of_the_loaded_model(
    tiny: Tiny, tmp_path: Path, family: str, dtype: Any
) -> None:
    _save(tiny(family), tmp_path, dtype)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto")
    assert loaded.dtype == dtype
    assert stored_fingerprint(tmp_path) == fingerprint(loaded)


def test_it_is_that_of_the_type_which_the_model_is_read_as(tiny: Tiny, tmp_path: Path) -> None:
    _save(tiny("qwen3"), tmp_path, torch.float32)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype="bfloat16")
    assert stored_fingerprint(tmp_path, "bfloat16") == fingerprint(loaded)
    assert stored_fingerprint(tmp_path) != fingerprint(loaded)


@pytest.mark.slow
@pytest.mark.real
def test_so_it_is_for_a_real_model(real_model: Path) -> None:
    loaded = AutoModelForCausalLM.from_pretrained(real_model, dtype="auto")
    assert stored_fingerprint(real_model) == fingerprint(loaded)


def test_a_checkpoint_that_lacks_a_weight_has_none(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tiny("qwen3").save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    del stored["model.layers.1.mlp.down_proj.weight"]
    save_file(stored, tmp_path / "model.safetensors")
    assert stored_fingerprint(tmp_path) is None


def test_tensors_are_found_in_every_shard(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tiny("mixtral").save_pretrained(tmp_path, max_shard_size="20KB")
    found = read_tensors(tmp_path)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert len(files) > 2
    for path in files:
        for name, tensor in load_file(path).items():
            place = found[name]
            content = path.read_bytes()[place.start : place.start + place.size]
            assert place.file == path
            assert content == tensor.numpy().tobytes()
            assert place.shape == tuple(tensor.shape)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x10" + b"\x00" * 7 + b"no header")
    with pytest.raises(RimError, match=r"model\.safetensors cannot be read"):
        read_tensors(tmp_path)


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RimError, match="no/where: no such folder"):
        local_folder("no/where")


def _save(model: Any, folder: Path, dtype: Any) -> None:
    """Save a model in a number type; those that stay fp32 (DeepSeek's) do so on loading."""
    from copy import deepcopy

    deepcopy(model).to(dtype).save_pretrained(folder)
