import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from rim_eval.errors import RimError
from rim_eval.statistics import discordant_shares, mcnemar_exact, mcnemar_score


@given(st.integers(0, 200), st.integers(0, 200))
def test_agrees_with_statsmodels(b: int, c: int) -> None:
    table = [[10, b], [c, 10]]
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)
    if b + c:
        score = mcnemar(table, exact=False, correction=False).pvalue
        assert mcnemar_score(b, c) == pytest.approx(score, abs=1e-12)


@pytest.mark.parametrize(("rate", "phi"), [(0.08, 0.0), (0.15, 0.5), (0.57, 0.3)])
def test_errs_under_the_null_at_most_at_its_level(rate: float, phi: float) -> None:
    """Summed over all outcomes with 300 prompts, not sampled."""
    from scipy.stats import binom

    discordant = sum(discordant_shares(rate, rate, phi))
    error = 0.0
    for m in range(301):
        rejects = np.array([mcnemar_exact(b, m - b) <= 0.05 for b in range(m // 2 + 1)])
        smaller = np.flatnonzero(rejects)
        tail = 2 * binom.cdf(smaller.max(), m, 0.5) if smaller.size else 0.0
        error += binom.pmf(m, 300, discordant) * tail
    assert 0.01 < error <= 0.05


def test_negative_counts_are_refused() -> None:
    with pytest.raises(RimError):
        mcnemar_exact(-1, 3)
    with pytest.raises(RimError):
        mcnemar_score(-1, 3)
