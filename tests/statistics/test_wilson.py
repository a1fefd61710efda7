import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from rim_eval.errors import RimError
from rim_eval.statistics import rate


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    k, n = counts
    found = rate(k, n, 0.9)
    assert (found.lower, found.upper) == pytest.approx(
        proportion_confint(k, n, alpha=0.1, method="wilson"), abs=1e-12
    )
    assert found.lower <= found.value <= found.upper


def test_nothing_scored_is_nan_and_survives_json() -> None:
    found = rate(0, 0)
    assert math.isnan(found.value)
    assert found.to_dict()["lower"] is None
    assert math.isnan(type(found).model_validate(found.to_dict()).upper)


@pytest.mark.parametrize(("k", "n", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 95)])
def test_impossible_input_is_refused(k: int, n: int, level: float) -> None:
    with pytest.raises(RimError):
        rate(k, n, level)
