import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.errors import RimError
from rim_eval.statistics import discordant_shares, tango_interval

counts = st.integers(1, 400).flatmap(
    lambda n: st.integers(0, n).flatmap(
        lambda b: st.tuples(st.just(b), st.integers(0, n - b), st.just(n))
    )
)


@pytest.mark.parametrize(
    ("b", "c", "n", "level", "published"),
    [
        # Fagerland, Lydersen and Laake, Stat. Med. 33 (2014) 2850: airway reactivity.
        (1, 7, 21, 0.95, (-0.517, -0.026)),
        # Agresti and Min, Stat. Med. 24 (2005) 729.
        (16, 8, 86, 0.95, (-0.020, 0.207)),
        # PropCIs::scoreci.mp in R, 48 and 41 discordant of 549, 90 %.
        (48, 41, 549, 0.90, (-0.0157, 0.0414)),
    ],
)
def test_published_examples(
    b: int, c: int, n: int, level: float, published: tuple[float, float]
) -> None:
    digits = max(len(str(abs(end)).partition(".")[2]) for end in published)
    assert tuple(round(end, digits) for end in tango_interval(b, c, n, level)) == published


@given(counts)
def test_contains_the_estimate_and_stays_in_range(bcn: tuple[int, int, int]) -> None:
    b, c, n = bcn
    lower, upper = tango_interval(b, c, n)
    assert -1 <= lower <= (b - c) / n <= upper <= 1
    assert lower < upper


@pytest.mark.slow
@given(counts)
def test_swapping_the_arms_turns_the_sign(bcn: tuple[int, int, int]) -> None:
    b, c, n = bcn
    lower, upper = tango_interval(b, c, n)
    assert tango_interval(c, b, n) == pytest.approx((-upper, -lower), abs=1e-12)


@given(counts)
def test_ends_are_where_the_score_statistic_is_z(bcn: tuple[int, int, int]) -> None:
    """The score is computed here from the likelihood itself, not from the closed-form root."""
    b, c, n = bcn
    for end, sign in zip(tango_interval(b, c, n), (1, -1), strict=True):
        if abs(end) > 1 - 1e-9:
            continue
        q = most_likely_share(end, b, c, n)
        score = (b - c - n * end) / math.sqrt(n * (2 * q + end * (1 - end)))
        assert score == pytest.approx(sign * 1.959964, abs=2e-3)


def most_likely_share(delta: float, b: int, c: int, n: int) -> float:
    low, high = max(0.0, -delta) + 1e-12, (1 - delta) / 2 - 1e-12

    def slope(q: float) -> float:
        return c / q + b / (q + delta) - 2 * (n - b - c) / (1 - 2 * q - delta)

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return (low + high) / 2


def test_exact_at_the_edges() -> None:
    z2 = 1.959963984540054**2
    assert tango_interval(0, 0, 300) == pytest.approx((-z2 / (300 + z2), z2 / (300 + z2)))
    assert tango_interval(5, 0, 5) == pytest.approx(((5 - z2) / (5 + z2), 1.0))
    assert tango_interval(0, 5, 5) == pytest.approx((-1.0, (z2 - 5) / (5 + z2)))
    assert all(math.isnan(end) for end in tango_interval(0, 0, 0))


@pytest.mark.parametrize(("b", "c", "n"), [(-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(b: int, c: int, n: int) -> None:
    with pytest.raises(RimError):
        tango_interval(b, c, n)


@pytest.mark.parametrize(
    ("target", "reference", "phi"),
    [
        (0.08, 0.08, 0.0),
        (0.08, 0.08, 0.5),
        (0.15, 0.08, 0.0),
        (0.15, 0.08, 0.3),
        (0.15, 0.08, 0.6),
        (0.57, 0.08, 0.2),
        (0.57, 0.15, 0.3),
        (0.2294, 0.1539, 0.5),
    ],
)
def test_covers_at_its_level_for_300_prompts(target: float, reference: float, phi: float) -> None:
    b_share, c_share = discordant_shares(target, reference, phi)
    drawn = np.random.default_rng(7).multinomial(
        300, (b_share, c_share, 1 - b_share - c_share), size=4000
    )
    interval = lru_cache(tango_interval)
    covered = [
        low <= target - reference <= high
        for low, high in (interval(int(b), int(c), 300) for b, c, _ in drawn)
    ]
    assert 0.935 <= np.mean(covered) <= 0.97
