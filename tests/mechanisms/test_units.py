import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.mechanisms import Unit, by_layer, matched_draws, overlap

UNITS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 19)), min_size=1, max_size=10)


@given(UNITS, st.integers(0, 3))
def test_draws_match_the_layers_and_avoid_the_set(units: list[tuple[int, int]], seed: int) -> None:
    for draw in matched_draws(units, lambda _: 20, draws=5, seed=seed):
        assert len(set(draw)) == len(draw) == len(set(units))
        assert not set(draw) & set(units)
        mine, theirs = by_layer(draw), by_layer(units)
        assert {k: len(v) for k, v in mine.items()} == {k: len(v) for k, v in theirs.items()}


def test_draws_depend_on_the_seed_alone() -> None:
    one, again, other = (
        matched_draws([(0, 1), (2, 3)], lambda _: 50, draws=4, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_a_set_of_most_of_a_layer_has_no_control() -> None:
    with pytest.raises(RimError, match="Layer 1 has 4 units, of which 3"):
        matched_draws([(1, 0), (1, 1), (1, 2)], lambda _: 4, draws=5)


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
