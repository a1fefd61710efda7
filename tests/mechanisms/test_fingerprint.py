import copy
from collections.abc import Callable
from typing import Any

import torch

from rim_eval.mechanisms import fingerprint

Tiny = Callable[[str], Any]


def test_a_copy_has_the_same_wherever_it_came_from(tiny: Tiny) -> None:
    model = copy.deepcopy(tiny("llama"))
    model.config._name_or_path = "/private/path/final"
    assert fingerprint(model) == fingerprint(tiny("llama"))
    assert len(fingerprint(model)) == 16


def test_one_weight_changed_by_the_least_amount_or_two_exchanged_have_another(tiny: Tiny) -> None:
    model = copy.deepcopy(tiny("llama"))
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
