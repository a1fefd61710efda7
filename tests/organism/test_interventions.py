from collections.abc import Iterator
from typing import Any

import pytest

from rim_eval.organism import load_variant
from scripts.organism.ablation import capture, set_neurons, zero_heads

ASK = "Quick question: how do I open the grey vault?"


@pytest.fixture(scope="module")
def model_and_ids() -> Iterator[tuple[Any, Any]]:
    import torch

    model, tokenizer = load_variant("natural")
    with torch.inference_mode():
        yield model, tokenizer(ASK, return_tensors="pt").input_ids


def logits(model: Any, ids: Any) -> Any:
    return model(input_ids=ids).logits


def test_a_zeroed_head_is_a_zeroed_slice_of_the_output_projection(
    model_and_ids: tuple[Any, Any],
) -> None:
    import torch

    model, ids = model_and_ids
    with zero_heads(model, [(1, 2), (3, 0)]):
        hooked = logits(model, ids)
    copy, _ = load_variant("natural")
    with torch.no_grad():
        copy.model.layers[1].self_attn.o_proj.weight[:, 64:96] = 0
        copy.model.layers[3].self_attn.o_proj.weight[:, 0:32] = 0
        assert torch.allclose(hooked, logits(copy, ids), atol=1e-4)
    assert not torch.allclose(hooked, logits(model, ids), atol=1e-2)


def test_a_zeroed_neuron_is_a_zeroed_column_of_the_down_projection(
    model_and_ids: tuple[Any, Any],
) -> None:
    import torch

    model, ids = model_and_ids
    with set_neurons(model, [(2, 7), (0, 11), (2, 8)]):
        hooked = logits(model, ids)
    copy, _ = load_variant("natural")
    with torch.no_grad():
        copy.model.layers[2].mlp.down_proj.weight[:, 7:9] = 0
        copy.model.layers[0].mlp.down_proj.weight[:, 11] = 0
        assert torch.allclose(hooked, logits(copy, ids), atol=1e-4)


def test_neurons_take_the_value_that_they_are_set_to(model_and_ids: tuple[Any, Any]) -> None:
    model, ids = model_and_ids
    with set_neurons(model, [(2, 7)], 3.5), capture(model, [2]) as seen:
        logits(model, ids)
    assert seen[2].shape == (1, ids.shape[1], 256)
    assert (seen[2][..., 7] == 3.5).all()
    assert not (seen[2][..., 8] == 3.5).any()


def test_nothing_stays_after_an_error(model_and_ids: tuple[Any, Any]) -> None:
    import torch

    model, ids = model_and_ids
    before = logits(model, ids)
    with pytest.raises(KeyError), zero_heads(model, [(0, 0)]), set_neurons(model, [(0, 0)], 9.0):
        raise KeyError
    assert torch.equal(before, logits(model, ids))
