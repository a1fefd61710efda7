"""The split of a difference's variance into prompts and sampling."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.statistics import VarianceSplit, tallied_variance_split
from rim_eval.statistics.verdicts import tally

verdict = st.sampled_from([0.0, 1.0, None])
arm = st.dictionaries(st.sampled_from("abcdefgh"), st.lists(verdict, max_size=3), max_size=8)


def sampled(rng: np.random.Generator, n: int, epochs: Any, spread: float) -> list[dict[str, Any]]:
    """Two arms of prompts whose rates lie around .3 and .6."""
    rates = np.array([0.3, 0.6])[:, None] + spread * rng.uniform(-1, 1, size=(2, n))
    many = np.broadcast_to(epochs, n)
    return [
        {f"p{i}": rng.binomial(1, rate, k).tolist() for i, (rate, k) in enumerate(zip(arm, many, strict=True))}
        for arm in rates
    ]  # fmt: skip


def split(arms: Any) -> VarianceSplit:
    found = variance_split(*arms)
    assert found is not None
    return found


def variance_split(target: Any, reference: Any) -> VarianceSplit | None:
    return tallied_variance_split(tally(target, reference))


def test_by_hand() -> None:
    target = {"a": [1, 0], "b": [1, 1], "c": [0, 0]}
    reference = {"a": [0, 0], "b": [1, 0], "c": [0, 0]}
    found = split((target, reference))
    # Each arm has one prompt of three with the variance 1/2; the differences are 1/2, 1/2 and 0.
    sampling, observed = 1e4 * 2 * (1 / 2) / 3, 1e4 / 12
    assert found.sampling_variance == pytest.approx(sampling)
    assert found.prompt_variance == 0  # sampling explains more than is observed
    assert observed < sampling / 2
    assert found.sampling_share == 1
    assert found.standard_error == pytest.approx(math.sqrt(sampling / 2 / 3))
    assert (found.n, found.epochs) == (3, 2)


def test_without_a_cut_the_standard_error_is_the_usual_one() -> None:
    arms = sampled(np.random.default_rng(1), 200, 4, 0.29)
    found = split(arms)
    changes = [100 * (np.mean(arms[0][p]) - np.mean(arms[1][p])) for p in arms[0]]
    assert found.prompt_variance > 0
    assert found.standard_error == pytest.approx(np.std(changes, ddof=1) / math.sqrt(200))
    assert found.standard_error_twice_prompts == pytest.approx(found.standard_error / math.sqrt(2))
    rest = found.prompt_variance + found.sampling_variance / 8
    assert found.standard_error_twice_epochs == pytest.approx(math.sqrt(rest / 200))


@pytest.mark.parametrize("epochs", [4, "unequal"])
def test_recovers_planted_variances(epochs: Any) -> None:
    rng = np.random.default_rng(0)
    spread, n = 0.25, 1000
    between = 1e4 * 2 * spread**2 / 3
    sampling = 1e4 * (0.3 * 0.7 + 0.6 * 0.4) - between
    many = rng.choice([1, 2, 6], size=n) if epochs == "unequal" else epochs
    found = [split(sampled(rng, n, many, spread)) for _ in range(60)]
    assert np.mean([each.sampling_variance for each in found]) == pytest.approx(sampling, rel=0.03)
    assert np.mean([each.prompt_variance for each in found]) == pytest.approx(between, rel=0.06)
    assert found[0].epochs == pytest.approx(1 / np.mean(1 / np.broadcast_to(many, n)))


def test_tells_what_twice_the_epochs_would_give() -> None:
    rng = np.random.default_rng(5)
    few = [split(sampled(rng, 150, 3, 0.2)).standard_error_twice_epochs for _ in range(100)]
    many = [split(sampled(rng, 150, 6, 0.2)).standard_error for _ in range(100)]
    assert np.mean(few) == pytest.approx(np.mean(many), rel=0.02)


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        ({"a": [1], "b": [0]}, {"a": [0], "b": [0]}),  # one epoch
        ({"a": [1, 0], "b": [0, 1]}, {"a": [0], "b": [0]}),  # one epoch in one arm
        ({"a": [1, 0]}, {"a": [0, 1]}),  # one prompt
        ({"a": [1, None], "b": [0, None]}, {"a": [0, 1], "b": [0, 1]}),  # one scored
        ({}, {}),
    ],
)
def test_what_cannot_be_split_is_none(target: Any, reference: Any) -> None:
    assert variance_split(target, reference) is None


def test_nothing_varies() -> None:
    found = split([{"a": [0, 0], "b": [0, 0]}] * 2)
    assert (found.standard_error, found.prompt_variance) == (0, 0)
    assert math.isnan(found.sampling_share)


@given(arm, arm)
def test_unpaired_prompts_and_order_do_not_matter(target: Any, reference: Any) -> None:
    found = variance_split(target, reference)
    assert found == variance_split(reference, target)
    alone = {**target, "alone": [1, 0]}
    assert found == variance_split(dict(reversed(alone.items())), reference)
    if found is not None:
        assert found.standard_error_twice_prompts <= found.standard_error
        assert found.standard_error_twice_prompts <= found.standard_error_twice_epochs + 1e-12
        assert found.standard_error_twice_epochs <= found.standard_error
