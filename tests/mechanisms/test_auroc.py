import numpy as np
import pytest
import scipy.optimize
import scipy.stats  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.mechanisms.auroc import areas, auroc


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=9),
    st.lists(st.integers(-3, 3), min_size=1, max_size=9),
)
def test_auroc_is_the_share_of_ordered_pairs(positive: list[int], negative: list[int]) -> None:
    want = np.mean([(p > q) + (p == q) / 2 for p in positive for q in negative])
    found = auroc(np.array(positive), np.array(negative))
    assert found.value == pytest.approx(want)
    assert 0 <= found.lower <= found.value + 1e-9
    assert found.value - 1e-9 <= found.upper <= 1
    swapped = auroc(np.array(negative), np.array(positive))
    assert swapped.value == pytest.approx(1 - want)
    assert swapped.lower == pytest.approx(1 - found.upper, abs=1e-6)


def test_a_perfect_auroc_still_has_a_width() -> None:
    found = auroc(np.arange(10.0, 20.0), np.arange(10.0))
    assert found.value == found.upper == 1
    assert 0.6 < found.lower < 0.9


def test_the_interval_covers_at_its_level() -> None:
    rng = np.random.default_rng(3)
    truth, hits = 0.8413447, 0  # P(N(sqrt 2, 1) > N(0, 1)) = Phi(1)
    for _ in range(400):
        found = auroc(rng.normal(np.sqrt(2), 1, 25), rng.normal(0, 1, 25))
        hits += found.lower <= truth <= found.upper
    assert 0.92 <= hits / 400 <= 0.99


def test_many_scores_are_measured_at_once_each_with_its_labels() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, size=(20, 3, 4)).astype(np.float32)
    labels = np.stack([rng.permutation(20) < 8 for _ in range(4)], axis=1)
    found = areas(scores, labels[:, None])
    for layer, column in np.ndindex(3, 4):
        own = scores[:, layer, column]
        want = auroc(own[labels[:, column]], own[~labels[:, column]]).value
        assert found[layer, column] == pytest.approx(want)


def test_an_empty_class_has_no_auroc() -> None:
    assert np.isnan(areas(np.arange(4.0), np.zeros(4, dtype=bool)))
    assert np.isnan(auroc(np.arange(4.0), np.array([])).lower)
