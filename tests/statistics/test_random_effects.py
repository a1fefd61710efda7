"""Random effects over models: what some models of a family say of its other models."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import linalg, stats
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.stats.meta_analysis import combine_effects

from benchmarks.random_effects import Setting, draw_models, draw_prompts, simulate, simulate_sets
from rim_eval.errors import RimError
from rim_eval.statistics import (
    Estimate,
    Interval,
    RandomEffects,
    bounded_mean_interval,
    mean_of_intervals,
    random_effects,
    random_effects_of_estimates,
    random_effects_over_sets,
    tango_interval,
)

MEANS = np.array([-20.0, 0.0, 15.0, 30.0, 45.0, 20.0])

tables = st.integers(4, 6).flatmap(
    lambda k: hnp.arrays(float, st.tuples(st.integers(1, 12), st.just(k)), elements=st.sampled_from([-100.0, 0.0, 50.0, 100.0]))
)  # fmt: skip


def drawn(family: Any = "usual", n: int = 40, k: int = 5, tau: float = 15, seed: int = 1) -> Any:
    rng = np.random.default_rng(seed)
    setting = Setting(family, n, k, tau)
    return draw_prompts(setting, draw_models(setting, rng)[:-1], rng)


def figures(found: RandomEffects) -> list[float]:
    ends = [found.lower, found.upper, found.next_lower, found.next_upper]
    return [found.mean, *ends, found.tau, found.tau_lower, found.tau_upper, found.i_squared]


def _width(found: RandomEffects) -> float:
    return found.upper - found.lower


def test_models_that_err_apart_are_a_meta_analysis() -> None:
    """Uncorrelated errors of one variance: Paule and Mandel's tau^2 and the HKSJ interval of statsmodels."""
    noise = linalg.hadamard(16)[:, 1:7]
    table = MEANS + 50.0 * noise
    found = random_effects(table, at_least=Interval(15, 15))
    theirs = combine_effects(MEANS, np.full(6, 50.0**2 / 15), method_re="iterated", use_t=True)
    *_, hksj = theirs.conf_int(use_t=True)
    assert found.tau**2 == pytest.approx(theirs.tau2)
    assert (found.lower, found.upper) == pytest.approx(tuple(hksj))
    assert found.i_squared == pytest.approx(theirs.i2)


def test_models_that_err_alike_are_a_crossed_mixed_model() -> None:
    """Variance components and the mean's error are those of REML with models and prompts at random."""
    rng = np.random.default_rng(4)
    k, n = 5, 30
    table = 10 + MEANS[:k] / 2 + rng.uniform(-35, 35, (n, 1)) + rng.uniform(-25, 25, (n, k))
    prompt, model = (each.ravel() for each in np.indices(table.shape))
    data = pd.DataFrame({"y": table.ravel(), "model": model, "prompt": prompt, "all": 0})
    parts = {"model": "0 + C(model)", "prompt": "0 + C(prompt)"}
    theirs = MixedLM.from_formula("y ~ 1", groups="all", vc_formula=parts, data=data).fit(reml=True)
    found = random_effects(table, at_least=Interval(10, 10))
    components = dict(zip(theirs.model.exog_vc.names, theirs.vcomp, strict=True))
    assert found.tau**2 == pytest.approx(components["model"], rel=1e-3)
    assert found.mean == pytest.approx(theirs.fe_params.iloc[0])
    error = float(theirs.bse_fe.iloc[0])
    first, second = table.mean(axis=0).var(ddof=1) / k, components["prompt"] / n
    freedom = (first + second) ** 2 / (first**2 / (k - 1) + second**2 / (n - 1))
    half = (found.upper - found.lower) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, freedom) * error, rel=1e-3)


def test_next_model_and_tau_by_hand() -> None:
    table = drawn()
    n, k = table.shape
    covariance = np.cov(table.T) / n
    spread, shared = table.mean(axis=0).var(ddof=1), covariance[~np.eye(k, dtype=bool)].mean()
    own = np.diag(covariance).mean() - shared
    found = random_effects(table)
    assert spread > own
    reach = stats.t.ppf(0.975, k - 1) * math.sqrt(spread * (1 + 1 / k) + shared)
    assert (found.next_lower, found.next_upper) == pytest.approx((found.mean - reach, found.mean + reach))  # fmt: skip
    for end, share in ((found.tau_lower, 0.975), (found.tau_upper, 0.025)):
        square = (k - 1) * spread / stats.chi2.ppf(share, k - 1) - own
        assert end == pytest.approx(math.sqrt(max(0, square)))


def test_errors_that_models_share_widen_the_interval() -> None:
    """The same means and variances, once with every model's prompts in an order of its own."""
    table = drawn("alike", n=100, tau=3)
    rng = np.random.default_rng(0)
    apart = np.column_stack([rng.permutation(column) for column in table.T])
    assert apart.mean(axis=0) == pytest.approx(table.mean(axis=0))
    middle = Interval(float(table.mean()), float(table.mean()))
    shared, own = (random_effects(each, at_least=middle) for each in (table, apart))
    assert _width(shared) > 1.3 * _width(own)


@settings(max_examples=60)
@given(tables, st.randoms(use_true_random=False))
def test_order_and_sign_say_nothing_more(table: Any, random: Any) -> None:
    found = random_effects(table)
    rows, columns = list(range(len(table))), list(range(table.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    again = random_effects(table[rows][:, columns])
    assert figures(again) == pytest.approx(figures(found), abs=1e-5)
    turned = random_effects(-table)
    assert (turned.lower, turned.next_upper) == pytest.approx((-found.upper, -found.next_lower))
    assert turned.tau == pytest.approx(found.tau, abs=1e-5)


@settings(max_examples=60)
@given(tables)
def test_further_models_are_never_surer_than_these(table: Any) -> None:
    found = random_effects(table)
    these = bounded_mean_interval(table.mean(axis=1), reach=100)
    ends = [-100, found.next_lower, found.lower, these.lower, found.mean]
    assert all(low <= high + 1e-9 for low, high in pairwise(ends))
    ends = [found.mean, these.upper, found.upper, found.next_upper, 100]
    assert all(low <= high + 1e-9 for low, high in pairwise(ends))
    assert found.tau_lower <= found.tau <= found.tau_upper + 1e-9
    assert 0 <= found.i_squared <= 1


def test_models_without_a_change_neither_break_nor_dominate() -> None:
    none = random_effects(np.zeros((100, 5)))
    lower, upper = (100 * end for end in tango_interval(0, 0, 100))
    assert none.mean == 0
    assert none.lower <= lower < upper <= none.upper
    assert none.tau == 0 < none.tau_upper
    table = drawn(n=100, k=6, tau=5)
    table[:, 0] = 0
    assert random_effects(table).mean == pytest.approx(table.mean())


def test_means_that_lie_closer_than_their_errors_allow_do_so_by_luck() -> None:
    """Every model changes on its own ten prompts of fifty: equal means, errors that are not."""
    table = np.kron(np.eye(5), np.full((10, 1), 100.0))
    covariance = np.cov(table.T) / 50
    own = covariance[0, 0] - covariance[0, 1]
    found = random_effects(table, at_least=Interval(20, 20))
    assert (found.tau, found.i_squared) == (0, 0)
    assert _width(found) == pytest.approx(2 * stats.t.ppf(0.975, 4) * math.sqrt(own / 5))
    reach = stats.t.ppf(0.975, 4) * math.sqrt(own * (1 + 1 / 5))
    assert found.next_upper == pytest.approx(20 + reach)


def test_fewer_than_four_models_cannot_tell() -> None:
    found = random_effects(drawn(k=3))
    assert all(map(math.isnan, figures(found)))
    assert not found.answered
    assert (found.n_models, found.n_rows) == (3, 40)
    assert "measure 1 more" in found.sentence
    assert found.to_dict()["mean"] is None
    assert not random_effects_over_sets([drawn(k=2)] * 5).answered
    assert not random_effects_of_estimates([Estimate(1, 0, 2)] * 3, 50).answered


def test_sentence_says_what_each_interval_holds_for() -> None:
    found = random_effects(drawn("usual", n=200, k=8, tau=0))
    assert "mean change over further models is" in found.sentence
    assert f"{found.lower:+.1f} to {found.upper:+.1f} points (it is above 0)" in found.sentence
    wide = random_effects(drawn("usual", n=200, k=4, tau=20, seed=3))
    assert "it may lie on either side of 0" in wide.sentence


def test_one_set_is_that_set() -> None:
    table = drawn()
    assert random_effects_over_sets([table]) == random_effects(table)


def test_sets_are_averaged_by_model() -> None:
    """Sampling covariances of the models add up over sets, whose prompts are drawn apart."""
    first, second = drawn(n=30, seed=1), drawn(n=50, seed=2)
    means = (first.mean(axis=0) + second.mean(axis=0)) / 2
    covariance = (np.cov(first.T) / 30 + np.cov(second.T) / 50) / 4
    spread = means.var(ddof=1)
    shared = covariance[~np.eye(5, dtype=bool)].mean()
    found = random_effects_over_sets([first, second])
    assert found.mean == pytest.approx(means.mean())
    assert found.tau**2 == pytest.approx(spread - np.diag(covariance).mean() + shared)
    assert found.n_rows == 30


def test_further_sets_take_the_place_of_prompts() -> None:
    """Models and sets at random: the two-way analysis of variance of the table of means."""
    rng = np.random.default_rng(5)
    shifts = rng.normal(scale=15, size=4)
    sets = [np.clip(drawn(n=60, seed=seed) + shift, -100, 100) for seed, shift in enumerate(shifts)]
    table = np.array([each.mean(axis=0) for each in sets])
    n, k = table.shape
    grand = table.mean()
    rows, columns = table.mean(axis=1), table.mean(axis=0)
    rest = ((table - rows[:, None] - columns + grand) ** 2).sum() / ((n - 1) * (k - 1))
    variance = (n * columns.var(ddof=1) + max(0, k * rows.var(ddof=1) - rest)) / (n * k)
    found = random_effects_over_sets(sets, further_sets=True)
    first = columns.var(ddof=1) / k
    freedom = variance**2 / (first**2 / (k - 1) + (variance - first) ** 2 / (n - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert _width(found) == pytest.approx(2 * half)
    assert _width(found) > _width(random_effects_over_sets(sets))


def test_intervals_alone_are_read_at_the_worst() -> None:
    """From cards: errors shared in full, no tau, and never narrower than from the prompts."""
    table = drawn("usual", n=100, k=6, tau=8)
    estimates = []
    for column in table.T:
        lower, upper = tango_interval(int((column > 0).sum()), int((column < 0).sum()), 100)
        estimates.append(Estimate(float(column.mean()), 100 * lower, 100 * upper))
    cards, logs = random_effects_of_estimates(estimates, 100), random_effects(table)
    assert cards.mean == pytest.approx(logs.mean)
    assert cards.lower < logs.lower
    assert cards.upper > logs.upper
    assert math.isnan(cards.tau)
    values, lower_ends, upper_ends = np.array(estimates).T
    error = np.mean(((upper_ends - lower_ends) / (2 * stats.norm.ppf(0.975))) ** 2)
    ahead = stats.t.ppf(0.975, 5) * math.sqrt(values.var(ddof=1) * (1 + 1 / 6) + error)
    assert cards.next_upper == pytest.approx(cards.mean + ahead)
    assert mean_of_intervals([Estimate(1, 0, 4), Estimate(3, 2, 4)]) == (1, 4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: random_effects([1.0, 2.0]), "a row a prompt and a column a model"),
        (lambda: random_effects(np.zeros((0, 4))), "a row a prompt and a column a model"),
        (lambda: random_effects(np.full((9, 4), 101.0)), "not within -100 to 100"),
        (lambda: random_effects(np.full((9, 4), np.nan)), "not within -100 to 100"),
        (lambda: random_effects(np.zeros((9, 4)), level=95), "between 0 and 1"),
        (lambda: random_effects_over_sets([]), "each with the same models"),
        (lambda: random_effects_over_sets([drawn(k=4), drawn(k=5)]), "each with the same models"),
        (lambda: random_effects_over_sets([drawn()] * 3, further_sets=True), "from 4 on"),
        (lambda: random_effects_of_estimates([], 10), "give the changes of four models"),
    ],
)
def test_what_cannot_be_computed_is_refused(call: Any, words: str) -> None:
    with pytest.raises(RimError, match=words):
        call()


@pytest.mark.slow
def test_coverage_of_models_that_were_not_measured() -> None:
    """A small run of `benchmarks.random_effects`: also where prompts decide nearly everything."""
    usual, alike, rare = (
        simulate(setting, 250)
        for setting in (Setting("usual", 100, 4, 10), Setting("alike", 100, 6, 5), Setting("near zero", 100, 6, 2))
    )  # fmt: skip
    for found in (usual, alike, rare):
        assert found.mean > 0.91
        assert found.following > 0.93
        assert found.cards > 0.93
        assert found.tau > 0.91
    assert usual.prompts_only < 0.75
    assert alike.independent < 0.88


def test_coverage_over_sets() -> None:
    found = simulate_sets(4, 4, 5.0, 150)
    assert found.these_sets > 0.9
    assert found.further_sets > 0.9
