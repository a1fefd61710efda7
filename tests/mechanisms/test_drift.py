import copy

import numpy as np
import pytest
import torch

from rim_eval.errors import RimError
from rim_eval.mechanisms import ModelHandle, Passage, Prompts, drift
from rim_eval.mechanisms.drift import (
    LayerDrift,
    RunDrift,
    cka,
    drift_along,
    layer_drift,
    layer_ratio,
    mean_interval,
    ratio_interval,
    safety_direction,
)

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
    assert np.isnan(layer_ratio(1 - 1e-13, 1 - 1e-14)), "rounding is no change"


def jackknife_by_hand(one: np.ndarray, other: np.ndarray) -> float:
    n = len(one)
    logs = [np.log(1 - cka(np.delete(one, i, 0), np.delete(other, i, 0))) for i in range(n)]
    return (n - 1) / n * float(((np.array(logs) - np.mean(logs)) ** 2).sum())


def test_the_ratios_interval_is_the_jackknife_of_its_logarithm() -> None:
    pairs = []
    for noise in (0.9, 0.3):
        states = RNG.normal(size=(25, 4))
        pairs.append((states, states + noise * RNG.normal(size=(25, 4))))
    ratio = layer_ratio(*(cka(*pair) for pair in pairs))
    width = 2.063899 * np.sqrt(sum(jackknife_by_hand(*pair) for pair in pairs))
    found = ratio_interval(pairs[0], pairs[1])
    assert found.lower == pytest.approx(ratio / np.exp(width))
    assert found.upper == pytest.approx(ratio * np.exp(width))
    assert found.lower > 1
    wider = ratio_interval(pairs[0], pairs[1], among=36)
    assert np.log(wider.upper / wider.lower) == pytest.approx(
        2 * width * 3.61385 / 2.0639, rel=1e-3
    )
    still = (pairs[0][0], pairs[0][0])
    assert np.isnan(ratio_interval(pairs[0], still).lower)


def chain(n: int, layers: int = 36, correlation: float = 0.9, *shape: int) -> np.ndarray:
    """Noise in which neighbouring layers are alike, shape (layers, n, ...)."""
    noise = RNG.standard_normal((layers, n, *shape))
    for layer in range(1, layers):
        noise[layer] *= np.sqrt(1 - correlation**2)
        noise[layer] += correlation * noise[layer - 1]
    return noise


def still_layers(monkeypatch: pytest.MonkeyPatch, n: int, layers: int = 36) -> list[LayerDrift]:
    """Layers whose states change by noise alone, alike on harmful and harmless prompts."""
    width = 5
    kinds = [
        [Passage((0,), {}, f"{kind}{i}") for i in range(n)] for kind in ("harmful", "harmless")
    ]
    states = {kind[0].id: RNG.standard_normal((n, layers, width)) for kind in kinds}

    def capture(model: str, texts: list[Passage], span: str) -> np.ndarray:
        found = states[texts[0].id]
        if span == "end":
            return found + (texts[0].id == "harmful0")
        noise = 0.3 * chain(n, layers, 0.9, width).transpose(1, 0, 2)
        return found + noise if model == "tuned" else found

    monkeypatch.setattr(drift, "capture_residual", capture)
    return layer_drift("base", "tuned", *kinds, *kinds)


@pytest.mark.slow
def test_of_many_layers_where_nothing_changes_seldom_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs, named = 100, np.zeros(2)
    for _ in range(runs):
        layers = still_layers(monkeypatch, 12)
        found = RunDrift(run="tuned", step=1, layers=tuple(layers))
        named += [found.most("drift") is not None, found.most("ratio") is not None]
    assert (named <= 0.05 * runs + 2 * (0.05 * 0.95 * runs) ** 0.5).all()


@pytest.mark.slow
def test_the_ratio_of_two_alike_kinds_is_seldom_shown_to_differ() -> None:
    def kind() -> tuple[np.ndarray, np.ndarray]:
        states = RNG.normal(size=(40, 5))
        return states, states + 0.3 * RNG.normal(size=(40, 5))

    ends = [ratio_interval(kind(), kind()) for _ in range(60)]
    assert sum(end.lower <= 1 <= end.upper for end in ends) >= 52


def test_a_means_interval_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0])
    found = mean_interval(values)
    half = 4.302653 * values.std(ddof=1) / np.sqrt(3)
    assert found.lower == pytest.approx(values.mean() - half)
    assert found.upper == pytest.approx(values.mean() + half)
    assert np.isnan(mean_interval(values[:1]).lower)


def test_a_change_in_one_layer_shows_there_and_not_before(
    handle: ModelHandle, toy: Prompts
) -> None:
    tuned = copy.deepcopy(handle.model)
    with torch.no_grad():
        tuned.model.layers[2].mlp.down_proj.weight *= 0.5
    harmful, benign = toy.harmful[:20], toy.benign[:20]
    found = layer_drift(
        handle.model,
        tuned,
        handle.passages(harmful, "no_think"),
        handle.passages(benign, "no_think"),
        handle.passages(harmful, "no_think"),
        handle.passages(benign, "no_think"),
    )
    assert [each.layer for each in found] == [0, 1, 2, 3]
    for layer in (0, 1):
        assert found[layer].cka_harmful == pytest.approx(1)
        assert found[layer].drift == pytest.approx(0, abs=1e-4 * found[layer].gap)
        assert np.isnan(found[layer].ratio)
    assert found[2].cka_harmful < 0.9999
    assert found[2].drift_lower <= found[2].drift <= found[2].drift_upper != 0
    assert found[2].gap > 0
    assert (found[2].n_harmful, found[2].n_harmless) == (20, 20)
