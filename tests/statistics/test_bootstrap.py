import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rim_eval.statistics import bootstrap_by_prompt


@pytest.mark.parametrize("kind", ["quarters", "continuous"])
def test_agrees_with_scipy_within_monte_carlo_error(kind: str) -> None:
    rng = np.random.default_rng(5)
    values = rng.binomial(4, 0.3, 300) / 4 - rng.binomial(4, 0.15, 300) / 4
    if kind == "continuous":
        values = values + rng.normal(0, 0.1, 300)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=rng
    ).confidence_interval
    width = oracle.high - oracle.low
    assert bootstrap_by_prompt(values) == pytest.approx(tuple(oracle), abs=0.04 * width)


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.sampled_from([-1, -0.5, 0, 0.25, 1]), min_size=2, max_size=40), st.randoms())
def test_order_does_not_matter(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (bootstrap_by_prompt(each) for each in (values, shuffled))
    assert one == other


@settings(max_examples=40)
@given(st.lists(st.sampled_from([-1, -0.75, 0, 1 / 3, 1]), min_size=2, max_size=4))
def test_is_exact(values: list[float]) -> None:
    """All n^n resamples written out."""
    means = np.sort([np.mean(drawn) for drawn in itertools.product(values, repeat=len(values))])
    for end, tail in zip(bootstrap_by_prompt(values, level=0.9), (0.05, 0.95), strict=True):
        assert np.mean(means <= end + 1e-9) >= tail - 1e-9
        assert np.mean(means < end - 1e-9) <= tail + 1e-9


def test_hundred_thousand_prompts_take_no_memory() -> None:
    values = np.random.default_rng(2).normal(size=100_000)
    lower, upper = bootstrap_by_prompt(values)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (lower, upper) == pytest.approx((values.mean() - half, values.mean() + half), rel=0.02)


def test_nothing_gives_nan() -> None:
    assert all(math.isnan(end) for end in bootstrap_by_prompt([]))


@pytest.mark.slow
@pytest.mark.parametrize(("target", "reference"), [(0.15, 0.08), (0.57, 0.08), (0.23, 0.15)])
def test_covers_with_four_epochs_on_300_prompts(target: float, reference: float) -> None:
    """Prompts differ in how often they succeed (beta), so epochs of one prompt go together."""
    rng = np.random.default_rng(11)
    covered = []
    for _ in range(600):
        ease = stats.uniform.rvs(size=300, random_state=rng)
        high = stats.beta.ppf(ease, target, 1 - target)
        low = stats.beta.ppf(ease, reference, 1 - reference)
        values = (rng.binomial(4, high) - rng.binomial(4, low)) / 4
        ends = bootstrap_by_prompt(values)
        covered.append(ends.lower <= target - reference <= ends.upper)
    assert 0.93 <= np.mean(covered) <= 0.97
