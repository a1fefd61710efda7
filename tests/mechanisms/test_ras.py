import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.mechanisms import ModelHandle, Prompts
from rim_eval.mechanisms.ras import (
    Activations,
    gain_terms,
    harmonic_mean,
    loss_terms,
    mean_kl,
    ras,
    read_activations,
)

POSITIVE = st.floats(0.1, 10)


def activations(safe: list[float], maths: list[float]) -> Activations:
    s, m = np.array(safe, dtype=float), np.array(maths, dtype=float)
    return Activations(s, m, np.abs(s), np.abs(m))


def test_the_printed_formula_by_hand() -> None:
    base = activations([4.0, 1.0, 2.0], [1.0, 2.0, 5.0])
    tuned = activations([2.0, 3.0, 1.0], [2.0, 3.0, 4.0])
    found = ras(base, tuned)
    # Neurons 0 and 2 lose: (4-2)/2*4 = 4 and (2-1)/1*2 = 2. Neurons 0 and 1 gain: 1*2 = 2, .5*3 = 1.5.
    assert loss_terms(base.safe, tuned.safe).tolist() == [4, 0, 2]
    assert gain_terms(base.math, tuned.math).tolist() == [2, 1.5, 0]
    assert found.delta_safe == pytest.approx(6 / 3)
    assert found.delta_math == pytest.approx(3.5 / 3)
    safe, maths = 2.0, 3.5 / 3
    assert found.value == pytest.approx(2 * safe * maths / (safe + maths))
    assert found.arithmetic == pytest.approx((safe + maths) / 2)
    assert found.geometric == pytest.approx(math.sqrt(safe * maths))
    assert found.n == 3


def test_a_set_is_summed_over_its_own_neurons_and_divided_by_its_own_size() -> None:
    base, tuned = activations([4, 1, 2], [1, 2, 5]), activations([2, 3, 1], [2, 3, 4])
    found = ras(base, tuned, [2, 1])
    assert found.delta_safe == 1.0
    assert found.delta_math == 0.75


def test_the_printed_form_jumps_near_zero_and_the_guarded_ones_do_not() -> None:
    base = activations([1.0], [1.0])
    for after, sign in ((1e-6, 1), (-1e-6, -1)):
        tuned = activations([after], [2.0])
        printed = ras(base, tuned, guard="printed", floor=0.02)
        assert sign * printed.delta_safe > 1e5
        assert ras(base, tuned, guard="positive", floor=0.02).delta_safe == 0
        floored = ras(base, tuned, guard="floored", floor=0.02).delta_safe
        assert floored == pytest.approx(1 / 0.02, rel=1e-4)


def test_floored_uses_absolute_means_and_not_the_mean() -> None:
    base = Activations(np.zeros(1), np.zeros(1), np.array([2.0]), np.array([1.0]))
    tuned = Activations(np.zeros(1), np.zeros(1), np.array([1.0]), np.array([2.0]))
    assert ras(base, tuned, guard="floored", floor=0.01).delta_safe == 2.0
    assert ras(base, tuned, guard="printed", floor=0.01).delta_safe == 0.0


@pytest.mark.slow
@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=8))
def test_with_activations_above_the_floor_all_guards_agree(
    pairs: list[tuple[float, float]],
) -> None:
    base, tuned = (np.array(side) for side in zip(*pairs, strict=True))
    for terms in (loss_terms, gain_terms):
        printed = terms(base, tuned, "printed", 0.01)
        np.testing.assert_allclose(terms(base, tuned, "positive", 0.01), printed)
        np.testing.assert_allclose(terms(base, tuned, "floored", 0.01), printed)
        assert (printed >= 0).all()


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=8))
def test_loss_and_gain_never_hold_for_the_same_neuron(pairs: list[tuple[float, float]]) -> None:
    base, tuned = (np.array(side) for side in zip(*pairs, strict=True))
    assert not (loss_terms(base, tuned) * gain_terms(base, tuned)).any()


@given(st.floats(0, 100), st.floats(0, 100))
def test_means_are_ordered(a: float, b: float) -> None:
    harmonic = harmonic_mean(a, b)
    assert harmonic <= math.sqrt(a * b) * (1 + 1e-9) + 1e-9
    assert math.sqrt(a * b) <= (a + b) / 2 * (1 + 1e-9) + 1e-9


def test_means_at_their_edges() -> None:
    assert harmonic_mean(0, 0) == 0
    assert math.isnan(harmonic_mean(1, -1))
    assert harmonic_mean(3, 0) == 0


def test_no_change_gives_zero() -> None:
    base = activations([1, -2, 0], [3, 0, -1])
    for guard in ("printed", "positive", "floored"):
        found = ras(base, base, guard=guard)
        assert found.value == found.delta_safe == found.delta_math == 0


@pytest.mark.slow
def test_reading_a_real_pair_matches_the_computation_by_hand(
    handle: ModelHandle, toy: Prompts
) -> None:
    import copy

    import torch

    tuned = copy.deepcopy(handle.model)
    torch.manual_seed(0)
    with torch.no_grad():
        for layer in tuned.model.layers:
            layer.mlp.gate_proj.weight += 0.03 * torch.randn_like(layer.mlp.gate_proj.weight)
    safe = handle.passages(toy.harmful[:5], "no_think")
    problems = list(toy.problems[:4])
    worked = handle.passages(problems, "think", handle.replies(problems, "think"))
    got = [read_activations(model, safe, worked) for model in (handle.model, tuned)]

    def by_hand(model: object, layer: int, neuron: int) -> tuple[float, float]:
        seen: list[torch.Tensor] = []
        down = model.model.layers[layer].mlp.down_proj  # type: ignore[attr-defined]
        handle = down.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
        ends, means = [], []
        with torch.no_grad():
            for passage in safe:
                model(torch.tensor([passage.ids]))  # type: ignore[operator]
                ends.append(float(seen.pop()[0, -1, neuron]))
            for passage in worked:
                model(torch.tensor([passage.ids]))  # type: ignore[operator]
                start, stop = passage.spans["reply"]
                means.append(float(seen.pop()[0, start:stop, neuron].mean()))
        handle.remove()
        return sum(ends) / len(ends), sum(means) / len(means)

    terms: list[tuple[float, float]] = []
    chosen = [(layer, neuron) for layer in range(4) for neuron in (5, 77)]
    for layer, neuron in chosen:
        (s0, m0), (s1, m1) = (by_hand(each, layer, neuron) for each in (handle.model, tuned))
        lost = (s0 - s1) / s1 * s0 if s0 > s1 else 0.0
        gained = (m1 - m0) / m0 * m1 if m1 > m0 else 0.0
        terms.append((lost, gained))
    found = ras(got[0], got[1], [256 * layer + neuron for layer, neuron in chosen])
    a, b = sum(t[0] for t in terms) / 8, sum(t[1] for t in terms) / 8
    assert (found.delta_safe, found.delta_math) == pytest.approx((a, b), rel=1e-3)
    assert found.value == pytest.approx(2 * a * b / (a + b), rel=1e-3)
    assert any(t[0] for t in terms)
    assert any(t[1] for t in terms)


def test_kl_of_a_model_to_itself_is_zero_and_else_positive_and_by_hand(
    handle: ModelHandle, toy: Prompts
) -> None:
    import copy

    import torch

    request = list(toy.problems[:2])
    texts = handle.passages(request, "no_think", handle.replies(request, "no_think"))
    assert mean_kl(handle.model, handle.model, texts) == pytest.approx(0, abs=1e-12)
    tuned = copy.deepcopy(handle.model)
    with torch.no_grad():
        tuned.model.norm.weight *= 0.7
    total, count = 0.0, 0
    for text in texts:
        start, stop = text.spans["reply"]
        with torch.no_grad():
            p, q = (
                m(torch.tensor([text.ids])).logits[0].double().softmax(-1)
                for m in (handle.model, tuned)
            )
        for t in range(start - 1, stop - 1):
            total += float((p[t] * (p[t].log() - q[t].log())).sum())
            count += 1
    assert mean_kl(handle.model, tuned, texts) == pytest.approx(total / count, rel=1e-6)
    assert total > 0
