import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rim_eval.statistics import mcnemar_exact, sign_flip_test


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_one_epoch_is_the_exact_mcnemar_test(b: int, c: int, same: int) -> None:
    found = sign_flip_test([1.0] * b + [-1.0] * c + [0.0] * same)
    assert "exact" in found.method
    assert found.p_value == pytest.approx(mcnemar_exact(b, c), abs=1e-9)


@settings(max_examples=40)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_enumeration_agrees_with_every_sign_assignment(quarters: list[int]) -> None:
    differences = np.array(quarters) / 4
    signs = np.array(list(itertools.product((1, -1), repeat=len(quarters))))
    sums = np.abs(signs @ differences)
    found = sign_flip_test(differences)
    assert "exact" in found.method
    assert found.p_value == pytest.approx(np.mean(sums >= abs(differences.sum()) - 1e-9))


def test_random_assignments_agree_with_scipy() -> None:
    differences = np.random.default_rng(3).normal(0.15, 1, 60)
    found = sign_flip_test(differences, seed=1)
    oracle = stats.permutation_test(
        (differences,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=np.random.default_rng(2),
    ).pvalue
    assert "random, seed 1" in found.method
    assert found.p_value == pytest.approx(oracle, abs=0.015)
    assert found == sign_flip_test(differences, seed=1)
