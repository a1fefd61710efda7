"""The judge's noise from repeated readings, and the split of a difference's variance with the judge apart."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.judge_noise import Setting, simulate
from rim_eval.errors import RimError
from rim_eval.statistics import (
    Epochs,
    JudgeNoise,
    NoiseSplit,
    judge_drift,
    judge_noise,
    noise_split,
    tallied_variance_split,
)

Tally = Counter[tuple[Epochs, ...]]
cells = st.integers(2, 5).flatmap(lambda t: st.tuples(st.integers(0, t), st.just(t)))
replies = st.lists(cells, min_size=2, max_size=20)


def noise(value: float, lower: float | None = None, upper: float | None = None) -> JudgeNoise:
    ends = {"lower": value if lower is None else lower, "upper": value if upper is None else upper}
    return JudgeNoise(value=value, **ends, level=0.95, n=30, n_readings=90)


def split(prompts: Tally, *args: Any) -> NoiseSplit:
    found = noise_split(prompts, *args)
    assert found is not None
    return found


def test_noise_by_hand() -> None:
    found = judge_noise({(0, 3): 6, (1, 3): 2, (2, 3): 1, (3, 3): 1, (1, 1): 5})
    assert found is not None
    # Three of ten replies have readings with the variance 1/3.
    assert found.value == pytest.approx(0.1)
    assert found.disagreement.value == pytest.approx(0.2)
    assert (found.n, found.n_readings) == (10, 30)
    assert 0 < found.lower < found.value < found.upper < 1 / 3


@given(st.integers(2, 5), st.lists(st.integers(0, 5), min_size=2, max_size=30))
def test_noise_is_the_mean_square_within_replies(times: int, positives: list[int]) -> None:
    """The one-way analysis of variance, over the readings themselves."""
    counts = [min(s, times) for s in positives]
    readings = np.array([[1] * s + [0] * (times - s) for s in counts])
    squares = ((readings - readings.mean(axis=1, keepdims=True)) ** 2).sum()
    found = judge_noise(Counter((s, times) for s in counts))
    assert found is not None
    assert found.value == pytest.approx(squares / (len(counts) * (times - 1)))


@given(replies)
def test_calling_yes_no_changes_nothing_and_the_interval_holds_the_value(read: Any) -> None:
    found = judge_noise(Counter(read))
    assert found == judge_noise(Counter((t - s, t) for s, t in read))
    assert found is not None
    assert 0 <= found.lower <= found.value + 1e-9
    assert found.value <= found.upper + 1e-9
    assert found.upper <= 0.5 + 1e-9


def test_a_judge_that_always_agrees_has_no_noise_but_an_interval() -> None:
    few, many = (judge_noise({(0, 3): n, (3, 3): n}) for n in (15, 150))
    assert few is not None
    assert many is not None
    assert few.value == few.lower == many.value == 0
    assert 0 < many.upper < few.upper < 0.05


def test_one_reading_says_nothing() -> None:
    assert judge_noise({(1, 1): 9, (0, 0): 3}) is None
    with pytest.raises(RimError, match="4 positive of 3 readings"):
        judge_noise({(4, 3): 1})


def test_drift_is_seen_and_noise_is_none() -> None:
    same = judge_drift({(True, 2, 3): 20, (True, 3, 3): 20, (False, 1, 3): 20, (False, 0, 3): 20})
    assert same is not None
    assert same.value == pytest.approx(0)
    assert same.lower < 0 < same.upper
    milder = judge_drift({(True, 1, 3): 20, (True, 3, 3): 20, (False, 0, 3): 40, (False, 0, 0): 9})
    assert milder is not None
    assert milder.value == pytest.approx(-100 / 6)
    assert milder.upper < 0
    assert judge_drift({(True, 0, 0): 3}) is None


ONE: Tally = Counter(
    {((1.0,), (0.0,)): 30, ((0.0,), (1.0,)): 10, ((1.0,), (1.0,)): 10, ((0.0,), (0.0,)): 50}
)
FOUR: Tally = Counter(
    {
        ((1.0, 1.0, 0.0, 0.0), (0.0,) * 4): 20,
        ((1.0,) * 4, (0.0, 0.0, 0.0, 1.0)): 20,
        ((0.0,) * 4, (0.0,) * 4): 40,
        ((1.0,) * 4, (1.0, 1.0, 1.0, 0.0)): 20,
    }
)


def test_one_epoch_leaves_prompts_and_generation_together() -> None:
    found = split(ONE, noise(0.05), noise(0.02))
    observed = 1e4 * np.var([1] * 30 + [-1] * 10 + [0] * 60, ddof=1)
    assert found.judge_variance == pytest.approx(700)
    assert found.other_variance == pytest.approx(observed - 700)
    assert (found.prompt_variance, found.generation_variance, found.twice_epochs) == (None,) * 3
    assert found.standard_error == pytest.approx(math.sqrt(observed / 100))
    assert found.twice_prompts == pytest.approx(found.standard_error / math.sqrt(2))
    assert found.three_readings == pytest.approx(math.sqrt((observed - 1400 / 3) / 100))
    assert found.noiseless_judge == pytest.approx(math.sqrt((observed - 700) / 100))
    assert set(found.shares) == {"judge", "prompts and generation"}


def test_several_epochs_tell_prompts_generation_and_judge_apart() -> None:
    whole = tallied_variance_split(FOUR)
    assert whole is not None
    found = split(FOUR, noise(0.03), noise(0.02))
    assert found.prompt_variance == whole.prompt_variance
    assert found.generation_variance == pytest.approx(whole.sampling_variance - 500)
    assert found.standard_error == pytest.approx(whole.standard_error)
    assert found.twice_epochs == pytest.approx(whole.standard_error_twice_epochs)
    assert found.shares["judge"] == pytest.approx(500 / 4 / (100 * whole.standard_error**2))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(*[st.lists(st.sampled_from([0.0, 1.0, None]), max_size=3).map(tuple)] * 2),
        max_size=9,
    ),
    st.floats(0, 0.25),
    st.floats(0, 0.25),
    st.none() | st.floats(0, 1e3),
)
def test_parts_add_up_and_nothing_makes_it_worse(
    rows: Any, one: float, other: float, labels: float | None
) -> None:
    think, no_think = noise(one, 0.0, 0.25), noise(other, 0.0, 0.25)
    found = noise_split(Counter(rows), think, no_think, labels)
    if found is None:
        return
    turned: Tally = Counter((low, high) for high, low in rows)
    swapped = noise_split(turned, no_think, think, labels)
    assert swapped is not None
    assert swapped.standard_error == pytest.approx(found.standard_error)
    assert sum(found.shares.values()) == pytest.approx(1 if found.shares else 0)
    assert found.judge_share.lower <= found.judge_share.upper
    helped = (found.twice_prompts, found.twice_epochs, found.three_readings, found.noiseless_judge, found.twice_labels)  # fmt: skip
    assert all(error <= found.standard_error + 1e-9 for error in helped if error is not None)
    assert found.noiseless_judge <= found.three_readings + 1e-9
    assert NoiseSplit.model_validate_json(found.model_dump_json()) == found


def test_the_bottleneck_is_the_largest_part() -> None:
    assert split(ONE, noise(0.02), noise(0.02)).bottleneck == "prompts and generation"
    noisy = split(ONE, noise(0.1, 0.08, 0.12), noise(0.1, 0.08, 0.12))
    assert noisy.bottleneck == "judge"
    assert noisy.judge_is_bottleneck == "cannot tell"
    # Even where the noise is known for sure, the prompts are a sample.
    assert split(ONE, noise(0.1), noise(0.1)).judge_is_bottleneck == "cannot tell"
    assert split(FOUR, noise(0.01), noise(0.01)).bottleneck == "prompts"
    sampled: Tally = Counter({((1.0, 0.0), (0.0, 1.0)): 50, ((0.0, 1.0), (1.0, 0.0)): 50})
    assert split(sampled, noise(0.01), noise(0.01)).bottleneck == "generation"
    quiet = sampled + Tally({((1.0, 1.0), (1.0, 1.0)): 100})
    found = split(quiet, noise(0.24), noise(0.24))
    assert (found.bottleneck, found.judge_is_bottleneck) == ("judge", "yes")
    assert split(sampled, noise(0.01), noise(0.01)).judge_is_bottleneck == "no"


def test_labels_have_a_part_of_their_own() -> None:
    with_labels, without = (
        split(ONE, noise(0.02), noise(0.02), variance) for variance in (90.0, None)
    )
    assert with_labels.bottleneck == "labels"
    assert with_labels.standard_error**2 == pytest.approx(without.standard_error**2 + 90)
    assert with_labels.twice_labels == pytest.approx(math.sqrt(without.standard_error**2 + 45))
    assert with_labels.twice_prompts**2 == pytest.approx(without.standard_error**2 / 2 + 90)
    assert without.twice_labels is None
    several, plain = (split(FOUR, noise(0.02), noise(0.02), variance) for variance in (90.0, None))
    assert several.twice_epochs is not None
    assert plain.twice_epochs is not None
    assert several.twice_epochs**2 == pytest.approx(plain.twice_epochs**2 + 90)
    with pytest.raises(RimError, match="label_variance=-1"):
        noise_split(ONE, noise(0), noise(0), -1)


def test_noise_above_what_is_seen_is_cut_in_the_shares() -> None:
    found = split(ONE, noise(0.25), noise(0.25))
    assert found.judge_variance == 5000
    assert (found.other_variance, found.shares["judge"], found.noiseless_judge) == (0, 1, 0)


def test_without_pairs_there_is_no_split() -> None:
    one: Tally = Counter({((1.0,), (0.0,)): 1, ((1.0,), (None,)): 9})
    assert noise_split(one, noise(0), noise(0)) is None
    still = split(Counter({((0.0,), (0.0,)): 9}), noise(0), noise(0))
    assert (still.shares, still.bottleneck, still.judge_is_bottleneck) == ({}, None, "no")


@pytest.mark.parametrize(
    ("setting", "bottleneck"),
    [
        (Setting("spread", "hard", 0.05, 4, 30), "prompts"),
        (Setting("sampling", "even", 0.05, 4, 30), "generation"),
        (Setting("alike", "even", 0.10, 1, 100), "judge"),
    ],
)
def test_planted_parts_are_found(setting: Setting, bottleneck: str) -> None:
    """`benchmarks/judge_noise.py` has all settings, and more repetitions."""
    found = simulate(setting, 120)
    assert found.planted.bottleneck(setting.epochs) == bottleneck
    assert found.judge == pytest.approx(found.planted.judge, rel=0.07)
    assert found.covered >= 0.89
    assert found.error == pytest.approx(1, abs=0.03)
    assert found.named >= 0.95
    assert found.wrong <= 0.03
