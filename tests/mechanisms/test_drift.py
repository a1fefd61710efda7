import copy

import numpy as np
import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms import (
    Prompts,
    Subject,
    cka,
    drift_along,
    layer_drift,
    layer_ratio,
    safety_direction,
)
from rim_eval.mechanisms.subject import Reply

RNG = np.random.default_rng(0)


def test_the_safety_direction_is_the_unit_difference_of_means() -> None:
    refusals, compliances = np.full((3, 2), 1.0), np.array([[1.0, -2.0], [1.0, -4.0]])
    np.testing.assert_allclose(safety_direction(refusals, compliances), [0, 1])
    with pytest.raises(RimError, match="no direction"):
        safety_direction(refusals, refusals)


def test_drift_is_the_projection_of_the_change() -> None:
    base = RNG.normal(size=(5, 3))
    moved = base + np.array([0.0, -2.0, 7.0])
    np.testing.assert_allclose(drift_along(base, moved, np.array([0.0, 1.0, 0.0])), -2)


def test_cka_is_one_up_to_rotation_shift_and_scale_and_else_less() -> None:
    states = RNG.normal(size=(50, 6))
    rotation = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert cka(states, 3 * states @ rotation + 5) == pytest.approx(1)
    assert cka(states, RNG.normal(size=(50, 6))) < 0.4
    assert cka(states, states + 0.5 * RNG.normal(size=(50, 6))) < 0.99
    assert np.isnan(cka(states, np.ones((50, 6))))


def test_cka_agrees_with_its_kernel_form() -> None:
    x, y = RNG.normal(size=(2, 12, 4))
    centre = np.eye(12) - 1 / 12
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    want = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert cka(x, y) == pytest.approx(want)


def test_the_layer_ratio() -> None:
    assert layer_ratio(0.8, 0.9) == pytest.approx(2)
    assert np.isnan(layer_ratio(0.8, 1.0))


def test_a_change_in_one_layer_shows_there_and_not_before(subject: Subject, toy: Prompts) -> None:
    tuned = copy.deepcopy(subject.model)
    with torch.no_grad():
        tuned.model.layers[2].mlp.down_proj.weight *= 0.5
    harmful, benign = toy.harmful[:20], toy.benign[:20]
    texts = [
        [Reply(tuple(subject.tokenizer(text)["input_ids"]), text, True)] * 20
        for text in ("I cannot help you.", "Sure. To do it,")
    ]
    found = layer_drift(
        subject.model,
        tuned,
        subject.passages(harmful, "no_think"),
        subject.passages(benign, "no_think"),
        *(subject.passages(harmful, "no_think", replies) for replies in texts),
    )
    assert [each.layer for each in found] == [0, 1, 2, 3]
    for layer in (0, 1):
        assert found[layer].cka_harmful == pytest.approx(1)
        assert found[layer].drift_mean == pytest.approx(0, abs=1e-5)
    assert found[2].cka_harmful < 0.9999
    assert found[2].drift_mean != 0
    assert (found[2].n_harmful, found[2].n_harmless) == (20, 20)
