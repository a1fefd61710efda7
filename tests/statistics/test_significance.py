"""The one rule for what a difference shows: the interval and the test, both."""

import math

import pytest

from rim_eval.statistics import mcnemar_exact, significance, tango_interval


@pytest.mark.parametrize(
    ("lower", "upper", "p_value", "says"),
    [
        (1.0, 5.0, 0.01, "more"),
        (-5.0, -1.0, 0.01, "less"),
        (1.0, 5.0, 0.057, "not_confirmed"),
        (-5.0, -1.0, 0.057, "not_confirmed"),
        (-1.0, 5.0, 0.01, "includes_zero"),
        (0.0, 5.0, 0.01, "includes_zero"),
        (1.0, 5.0, None, "more"),
        (-5.0, -1.0, math.nan, "less"),
        (None, None, None, "unknown"),
        (math.nan, math.nan, math.nan, "unknown"),
    ],
)
def test_rule(lower: float, upper: float, p_value: float, says: str) -> None:
    assert significance(lower, upper, p_value) == says


def test_test_is_held_against_the_intervals_own_level() -> None:
    assert significance(1.0, 5.0, 0.057, level=0.9) == "more"


def test_interval_and_exact_test_do_part() -> None:
    lower, upper = tango_interval(11, 3, 100)
    assert lower > 0
    assert significance(lower, upper, mcnemar_exact(11, 3)) == "not_confirmed"
