import math

import numpy as np
import pytest
from scipy import stats

from rim_eval.errors import RimError
from rim_eval.statistics import pearson, spearman

# Yan et al. (arXiv 2509.00544), Figure 8, Qwen3-4B: RAS and misalignment rate (%), digitised.
RAS = [1.1396, 1.1563, 1.1582, 1.1616, 1.1626, 1.1689, 1.1707, 1.1850]
RATE = [21.00, 22.07, 22.07, 22.07, 22.07, 23.00, 22.33, 22.82]


def test_the_papers_correlation_comes_out_of_its_figure() -> None:
    r, rho = pearson(RAS, RATE), spearman(RAS, RATE)
    assert r.value == pytest.approx(0.891, abs=0.0005)
    assert r.p_value == pytest.approx(0.003, abs=0.0005)
    assert rho.value == pytest.approx(0.862, abs=0.0005)
    assert (r.n, r.ties) == (8, 4)
    assert pearson(RAS[1:], RATE[1:]).value == pytest.approx(0.757, abs=0.001)


def test_interval_agrees_with_scipy() -> None:
    x = np.random.default_rng(0).normal(size=30)
    y = x + np.random.default_rng(1).normal(size=30)
    oracle = stats.pearsonr(x, y).confidence_interval(0.95)
    found = pearson(x, y)
    assert (found.lower, found.upper) == pytest.approx((oracle.low, oracle.high))


@pytest.mark.slow
def test_spearman_interval_covers() -> None:
    rng = np.random.default_rng(4)
    truth = 6 / math.pi * math.asin(0.6 / 2)
    covered = []
    for _ in range(1000):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=40).T
        found = spearman(x, y)
        covered.append(found.lower <= truth <= found.upper)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_too_little_to_say() -> None:
    assert math.isnan(pearson([1, 1, 1, 1], [1, 2, 3, 4]).value)
    assert math.isnan(pearson([1, 2, 3], [1, 3, 2]).lower)
    with pytest.raises(RimError, match="equal length"):
        pearson([1, 2], [1])
