"""How many prompts decide on which side of a limit a figure lies, held against simulated runs of that size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.statistics import Estimate, tango_interval
from rim_eval.statistics.margin import prompts_to_decide


@pytest.mark.parametrize(("b", "c", "limit"), [(20, 5, 5.0), (12, 9, 12.0)])
def test_as_many_prompts_decide_four_times_in_five(b: int, c: int, limit: float) -> None:
    """The figure as measured is made the truth, and fresh runs of the advised size are drawn."""
    n = 100
    ends = tango_interval(b, c, n)
    estimate = Estimate(100 * (b - c) / n, 100 * ends.lower, 100 * ends.upper)
    advised = prompts_to_decide(estimate, n, limit)
    assert advised is not None
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(advised, [b / n, c / n, 1 - (b + c) / n], size=600)
    intervals = [tango_interval(int(up), int(down), advised) for up, down, _ in drawn]
    beyond = [
        100 * each.upper <= limit if estimate.value < limit else 100 * each.lower > limit
        for each in intervals
    ]
    assert np.mean(beyond) == pytest.approx(0.8, abs=0.05)


EVERY = st.tuples(st.floats(-50, 50), st.floats(0.1, 40), st.floats(0.1, 40), st.integers(1, 1000))


@given(EVERY, st.floats(-60, 60), st.floats(0.01, 100))
def test_units_do_not_matter_and_no_prompt_is_given_back(
    drawn: tuple[float, float, float, int], limit: float, unit: float
) -> None:
    value, below, above, n = drawn
    estimate = Estimate(value, value - below, value + above)
    found = prompts_to_decide(estimate, n, limit)
    other = prompts_to_decide(Estimate(*(unit * end for end in estimate)), n, unit * limit)
    assert (found is None) == (value == limit)
    if found is not None and other is not None and abs(value - limit) > 1e-6:
        assert found >= n
        assert math.isclose(found, other, rel_tol=1e-3, abs_tol=1)


def test_a_limit_further_away_needs_fewer() -> None:
    estimate = Estimate(10.0, 0.0, 20.0)
    found = [prompts_to_decide(estimate, 100, limit) for limit in (9.0, 5.0, 1.0)]
    assert found == sorted(found, key=lambda n: -(n or 0))
    assert prompts_to_decide(estimate, 100, 10.0) is None


@pytest.mark.parametrize(("n", "level", "power"), [(0, 0.95, 0.8), (10, 1.0, 0.8), (10, 0.95, 0.5)])
def test_what_is_out_of_range_is_refused(n: int, level: float, power: float) -> None:
    with pytest.raises(RimError):
        prompts_to_decide(Estimate(1.0, 0.0, 2.0), n, 3.0, level, power)
