import numpy as np
import pytest
import scipy.stats  # noqa: F401 (a first import inside a test would break its deadline)
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.probe_selection import Setting, simulate
from rim_eval.mechanisms.auroc import areas
from rim_eval.mechanisms.layer_choice import FOLDS, choose_layer, deal_folds, permute_labels
from rim_eval.mechanisms.probe_samples import split_groups
from rim_eval.mechanisms.probes import fit_probe, project


def noise(n: int, layers: int, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, layers, width)).astype(np.float32)


def test_the_held_out_figure_is_that_of_the_chosen_layers_direction() -> None:
    states, labels = noise(80, 5), np.arange(80) < 40
    states[:40, 3, 0] += 2
    groups = [str(i) for i in range(80)]
    calibration = split_groups(labels, groups)
    found = choose_layer(states, labels, groups, calibration)
    assert found.number == 3
    probe = fit_probe(states[labels & calibration], states[~labels & calibration])
    want = areas(project(states, probe.direction)[~calibration], labels[~calibration][:, None])
    assert found.control.value == pytest.approx(want[3])
    assert found.cross_validated > 0.8
    assert (found.control.p_value, len(found.control.random)) == (0.01, 99)


def test_the_choice_does_not_know_the_held_out_samples() -> None:
    states, labels = noise(80, 20), np.arange(80) < 40
    groups = [str(i) for i in range(80)]
    calibration = split_groups(labels, groups)
    before = choose_layer(states, labels, groups, calibration)
    for layer in range(20):  # whichever layer the held-out samples favour
        favoured = states.copy()
        favoured[labels & ~calibration, layer] += 9 * favoured[:40, layer].mean(0)
        after = choose_layer(favoured, labels, groups, calibration)
        assert (after.number, after.cross_validated) == (before.number, before.cross_validated)


def test_a_constant_added_to_every_state_changes_nothing() -> None:
    states, labels = noise(60, 4), np.arange(60) < 30
    groups = [str(i) for i in range(60)]
    calibration = split_groups(labels, groups)
    moved = choose_layer(states + np.float32(64), labels, groups, calibration)
    assert moved.number == choose_layer(states, labels, groups, calibration).number


@given(st.integers(5, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 99))
def test_every_fold_holds_both_classes_and_whole_groups(
    pairs: int, positive: int, negative: int, seed: int
) -> None:
    groups = [f"pair{i // 2}" for i in range(2 * pairs)]
    groups += [f"single{i}" for i in range(positive + negative)]
    labels = np.array([True, False] * pairs + [True] * positive + [False] * negative)
    part = np.ones(len(labels), dtype=bool)
    folds = deal_folds(labels, groups, part, np.random.default_rng(seed))
    assert set(folds) == set(range(FOLDS))
    for fold in range(FOLDS):
        assert set(labels[folds == fold]) == {True, False}
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_permutations_keep_what_is_not_exchangeable(pairs: int, singles: int, seed: int) -> None:
    groups = [f"pair{i // 2}" for i in range(2 * pairs)] + [f"s{i}" for i in range(2 * singles)]
    rng = np.random.default_rng(seed)
    labels = np.array([True, False] * pairs + rng.permutation([True, False] * singles).tolist())
    strata = np.array([i // 2 % 2 for i in range(2 * pairs)] + [i % 2 for i in range(2 * singles)])
    permuted = permute_labels(labels, groups, strata, 30, rng)
    assert permuted.shape == (len(labels), 30)
    first, second = permuted[: 2 * pairs : 2], permuted[1 : 2 * pairs : 2]
    assert (first != second).all(), "partners stay of different classes"
    for stratum in (0, 1):
        single = (strata == stratum) & (np.arange(len(labels)) >= 2 * pairs)
        assert (permuted[single].sum(0) == labels[single].sum()).all()


def test_all_permutations_are_drawn_alike() -> None:
    """Two pairs and three samples of one class in four: 2 * 2 * 4 labelings."""
    groups, labels = ["a", "a", "b", "b", "1", "2", "3", "4"], np.array([1, 0, 1, 0, 1, 1, 1, 0], bool)  # fmt: skip
    permuted = permute_labels(labels, groups, np.zeros(8, np.intp), 8000, np.random.default_rng(0))
    counts = np.unique(permuted, axis=1, return_counts=True)[1]
    assert len(counts) == 16
    assert counts.min() > 400
    assert counts.max() < 600


@pytest.mark.slow
def test_noise_is_shown_no_more_often_than_the_level_and_a_planted_direction_is_found() -> None:
    null = simulate(Setting(distance=0.0, paired=False, layers=12, n=60), 150)
    # With a rate of 5 % more than 10 % of 150 are seen with a chance of 0.4 %.
    assert null.beyond <= 0.1
    assert null.shown <= 0.1
    assert null.best_shown > 0.1, "what the choice on held-out samples would say"
    assert simulate(Setting(distance=2.0, paired=True, layers=12, n=60), 20).beyond > 0.8
