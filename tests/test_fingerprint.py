"""Which weights answered, by their numbers and not by their folder."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from rim_eval.fingerprint import cached_fingerprint, fingerprint, sample_weight


def tiny() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).eval()


def test_a_copy_has_the_same_wherever_it_came_from() -> None:
    model = copy.deepcopy(tiny())
    model.config._name_or_path = "/private/path/final"
    assert fingerprint(model) == fingerprint(tiny())
    assert len(fingerprint(model)) == 16


def test_one_weight_changed_by_the_least_amount_or_two_exchanged_have_another() -> None:
    model = copy.deepcopy(tiny())
    weight, known = model.model.layers[2].mlp.down_proj.weight, {fingerprint(model)}
    with torch.no_grad():
        weight[3, 4] = torch.nextafter(weight[3, 4], torch.tensor(9.0))
        known.add(fingerprint(model))
        weight[[0, 1]] = weight[[1, 0]]
        known.add(fingerprint(model))
    model.config.rms_norm_eps *= 2
    known.add(fingerprint(model))
    known.add(fingerprint(model.bfloat16()))
    assert len(known) == 5


def test_of_a_large_weight_numbers_all_over_it_are_read() -> None:
    """Training moves a weight nearly everywhere; to read all of it would take minutes."""
    model = tiny()
    model.resize_token_embeddings(9_000)  # 288,000 numbers
    known = {fingerprint(model)}
    for rows in (slice(0, 40), slice(8_900, 9_000)):
        with torch.no_grad():
            model.get_input_embeddings().weight[rows] += 0.01
        known.add(fingerprint(model))
    assert len(known) == 3


def _sampled(*shape: int) -> Any:
    """Which numbers of a weight are read."""
    count = math.prod(shape)
    weight = torch.arange(count, dtype=torch.int32).reshape(shape)
    read = np.frombuffer(sample_weight(weight).split(b")", 1)[1], np.int32)
    seen = np.zeros(count, bool)
    seen[read] = True
    return seen.reshape(shape)


# SmolLM2's and a 4B model's outgoing weights, tall, wide, experts, and blocks of experts.
@pytest.mark.parametrize(
    "shape",
    [(576, 1536), (2560, 9728), (20_000, 64), (64, 70_000), (8, 300, 512), (4, 96, 30, 16)],
)
def test_every_row_and_every_column_of_a_matrix_is_met(shape: tuple[int, ...]) -> None:
    seen = _sampled(*shape)
    matrices = seen.reshape(-1, *shape) if len(shape) == 2 else seen.reshape(*shape[:2], -1)
    assert matrices.any(1).all()
    assert matrices.any(2).all()
    assert seen.sum() < 4 * max(65_536, math.prod(shape[:-2]) * max(shape[-2:]))


def test_every_second_neuron_taken_out_in_place_is_seen() -> None:
    weight = torch.randn(576, 1536)
    before = sample_weight(weight)
    for columns in (slice(1, None, 2), slice(0, None, 2), 3):
        changed = weight.clone()
        changed[:, columns] = 0
        assert sample_weight(changed) != before


def test_weights_that_lie_on_disk_have_none_and_end_no_run() -> None:
    assert cached_fingerprint(tiny().to("meta")) is None


def test_how_a_model_is_run_is_no_part_of_it() -> None:
    model = tiny()
    before = fingerprint(model)
    model.config.use_cache = False
    model.config.pad_token_id = 3
    assert fingerprint(model) == before
