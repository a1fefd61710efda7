import numpy as np
import pytest

from rim_eval.mechanisms import Unit
from rim_eval.mechanisms.units import overlap


def test_overlap_counts_and_its_expectation_is_the_hypergeometric_mean() -> None:
    first = [Unit(0, i) for i in range(10)] + [Unit(1, 0)]
    second = [Unit(0, i) for i in range(5, 15)] + [Unit(2, 0)]
    found = overlap(first, second, lambda _: 100)
    assert (found.shared, found.first, found.second) == (5, 11, 11)
    assert found.jaccard == pytest.approx(5 / 17)
    assert found.expected == pytest.approx(10 * 10 / 100)
    assert found.p_value < 0.01
    # P(X >= 5) of a hypergeometric with 100, 10, 10, in closed form.
    from scipy.stats import hypergeom

    assert found.p_value == pytest.approx(hypergeom.sf(4, 100, 10, 10), abs=2e-3)


def test_overlap_of_chance_sets_is_no_finding() -> None:
    rng = np.random.default_rng(0)
    one, other = ([Unit(0, int(i)) for i in rng.choice(50, 20, replace=False)] for _ in range(2))
    assert overlap(one, other, lambda _: 50).p_value > 0.05


def test_overlap_of_nothing_is_undefined() -> None:
    assert np.isnan(overlap([], [], lambda _: 5).jaccard)
