import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from scripts.training.lengths import length_match

LENGTHS = st.lists(st.integers(20, 300), min_size=2, max_size=60)


@given(lengths=LENGTHS)
def test_the_same_lengths_match(lengths: list[int]) -> None:
    found = length_match(lengths, lengths)
    assert found.matched
    assert (found.difference, found.distance, found.p_value) == (0, 0, 1)
    assert found.target == found.control
    assert found.control[2] == np.median(lengths)


@given(lengths=LENGTHS, longer=st.integers(20, 40))
def test_a_shift_of_more_than_the_margin_is_a_mismatch(lengths: list[int], longer: int) -> None:
    found = length_match([each + longer for each in lengths], lengths)
    assert found.matched == (longer <= 0.05 * np.median(lengths))
    assert found.difference == pytest.approx(longer)
    assert found.distance > 0
    assert length_match(lengths, [each + longer for each in lengths]).difference == -found.difference  # fmt: skip


def test_a_difference_that_is_not_known_well_is_no_match() -> None:
    found = length_match([50, 150], [100, 100])
    assert found.difference == 0
    assert not found.matched
    one = length_match([100], [100])
    assert math.isnan(one.lower)
    assert not one.matched


def test_the_distance_is_that_of_the_distributions() -> None:
    assert length_match([1, 2, 3, 4], [3, 4, 5, 6]).distance == 0.5


@pytest.mark.parametrize("arms", [([], []), ([1], [1, 2])])
def test_arms_without_pairs_are_refused(arms: tuple[list[int], list[int]]) -> None:
    with pytest.raises(RimError, match="one of each a problem"):
        length_match(*arms)
