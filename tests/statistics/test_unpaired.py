import pytest

from rim_eval.statistics import Estimate, rate, unpaired_interval


def estimate(k: int, n: int) -> Estimate:
    found = rate(k, n)
    return Estimate(found.value, found.lower, found.upper)


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, Table II, method 10.
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
    ],
)
def test_published_examples(
    first: tuple[int, int], second: tuple[int, int], ends: tuple[float, float]
) -> None:
    found = unpaired_interval(estimate(*first), estimate(*second))
    assert found == pytest.approx(ends, abs=5e-5)


def test_swapping_turns_the_sign() -> None:
    one, other = estimate(7, 20), estimate(3, 30)
    lower, upper = unpaired_interval(one, other)
    assert unpaired_interval(other, one) == pytest.approx((-upper, -lower))
