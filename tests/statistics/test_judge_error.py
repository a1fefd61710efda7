import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.statistics import (
    Calibration,
    PairCounts,
    corrected_difference,
    corrected_rate,
    discordant_shares,
    judge_shares,
    tango_interval,
)
from rim_eval.statistics.judge_error import CorrectedRate

GOOD = Calibration(true_positives=180, positives=200, true_negatives=190, negatives=200)
FAIR = Calibration(true_positives=80, positives=100, true_negatives=80, negatives=100)


def test_rogan_gladen_by_hand() -> None:
    found = corrected_rate(60, 300, GOOD)
    assert found.value == pytest.approx((0.2 + 0.95 - 1) / (0.9 + 0.95 - 1))
    assert found.lower < found.value < found.upper
    assert found.raw == 0.2


def test_a_mode_dependent_judge_makes_a_difference_of_nothing() -> None:
    """True rate 15 % in both arms; specificity .95 without and .90 with thinking: +4.2 points."""
    think = Calibration(true_positives=900, positives=1000, true_negatives=900, negatives=1000)
    no_think = Calibration(true_positives=900, positives=1000, true_negatives=950, negatives=1000)
    n = 100_000
    high, low = 0.9 * 0.15 + 0.10 * 0.85, 0.9 * 0.15 + 0.05 * 0.85
    both = round(n * high * low)
    pairs = PairCounts(
        both, round(n * high) - both, round(n * low) - both, n - round(n * (high + low)) + both
    )
    found = corrected_difference(pairs, think, no_think)
    assert found.raw == pytest.approx(4.25, abs=0.01)
    assert found.difference == pytest.approx(0, abs=0.02)
    assert found.lower < 0 < found.upper
    assert not found.shared_calibration


def test_a_shared_calibration_of_equal_arms_adds_no_uncertainty() -> None:
    pairs = PairCounts(both=20, target_only=15, reference_only=15, neither=250)
    shared = corrected_difference(pairs, GOOD)
    apart = corrected_difference(pairs, GOOD, GOOD)
    assert shared.difference == apart.difference == 0
    assert shared.upper - shared.lower < apart.upper - apart.lower


def test_no_discordant_pair_leaves_the_difference_unsure() -> None:
    """About as unsure as Tango's interval of the raw difference, divided by Se + Sp - 1."""
    found = corrected_difference(
        PairCounts(both=150, target_only=0, reference_only=0, neither=150), GOOD
    )
    assert found.difference == 0
    assert found.upper == pytest.approx(-found.lower, abs=0.05)
    assert 0.7 < found.upper / (100 * tango_interval(0, 0, 300).upper / 0.85) < 1.1


def test_rates_that_the_calibration_does_not_explain_keep_a_width() -> None:
    found = corrected_difference(PairCounts(0, 300, 0, 0), GOOD)
    assert found.difference == found.upper == 100
    assert 80 < found.lower < 100
    assert corrected_rate(0, 300, GOOD).upper > 0


usable = st.builds(
    lambda tp, tn, n: Calibration(true_positives=tp, positives=n, true_negatives=tn, negatives=n),
    st.integers(80, 100),
    st.integers(80, 100),
    st.just(100),
)
cells = st.builds(PairCounts, *[st.integers(0, 400)] * 4).filter(any)


@given(cells, usable, st.none() | usable)
@example(PairCounts(150, 0, 0, 150), GOOD, None)
@example(PairCounts(0, 300, 0, 0), GOOD, None)
@example(PairCounts(0, 0, 300, 0), GOOD, GOOD)
@example(PairCounts(92, 96, 132, 318), FAIR, None)
def test_interval_holds_the_point_has_a_width_and_turns_with_the_arms(
    pairs: PairCounts, target: Calibration, reference: Calibration | None
) -> None:
    found = corrected_difference(pairs, target, reference)
    assert -100 <= found.lower <= found.difference <= found.upper <= 100
    assert found.upper - found.lower > 0.1
    turned = PairCounts(pairs.both, pairs.reference_only, pairs.target_only, pairs.neither)
    back = corrected_difference(turned, reference or target, target if reference else None)
    assert (-back.upper, -back.difference, -back.lower) == pytest.approx(
        (found.lower, found.difference, found.upper), abs=1e-6
    )


@pytest.mark.parametrize("counts", [(52, 100, 50, 100), (7, 10, 6, 10), (20, 100, 70, 100)])
def test_a_judge_near_guessing_is_refused(counts: tuple[int, int, int, int]) -> None:
    names = ("true_positives", "positives", "true_negatives", "negatives")
    poor = Calibration(**dict(zip(names, counts, strict=True)))
    with pytest.raises(RimError, match="cannot be told from guessing"):
        corrected_rate(10, 100, poor)


def test_impossible_calibration_is_refused() -> None:
    with pytest.raises(ValidationError):
        Calibration(true_positives=3, positives=2, true_negatives=1, negatives=1)


def measured_on(*counts: tuple[int, int]) -> list[Calibration]:
    """Models by true positives and true negatives, each of 100."""
    return [
        Calibration(true_positives=tp, positives=100, true_negatives=tn, negatives=100)
        for tp, tn in counts
    ]


def test_figures_of_other_models_carry_the_spread_between_them() -> None:
    alike, apart = measured_on(*[(90, 95)] * 4), measured_on((96, 98), (94, 97), (88, 93), (80, 90))
    [pooled] = measured_on((90, 95))
    widths = [
        found.upper - found.lower
        for found in (corrected_rate(60, 200, judge) for judge in (pooled, alike, apart))
    ]
    assert widths[0] < widths[1] < widths[2] / 2


def test_fewer_than_three_other_models_correct_nothing() -> None:
    for count, named in ((1, "1 other model,"), (2, "2 other models,")):
        with pytest.raises(RimError, match=named):
            corrected_rate(10, 100, measured_on(*[(90, 95)] * count))
    with pytest.raises(RimError, match="0 other models"):
        judge_shares([])


def test_a_further_models_shares_by_hand() -> None:
    """Equal logits of 0: the spread is that of sampling, sqrt(4 / 101 (1 + 1/3)) times t with 2 degrees of freedom."""
    found = judge_shares(measured_on(*[(50, 50)] * 3))
    half = 4.302653 * np.sqrt(4 / 101 * 4 / 3)
    expected = (0.5, 1 / (1 + np.exp(half)), 1 / (1 + np.exp(-half)))
    assert found[0] == found[1] == pytest.approx(expected, rel=1e-6)


def test_a_spread_that_reaches_guessing_leaves_the_rate_open() -> None:
    found = corrected_rate(60, 200, measured_on((99, 99), (60, 70), (20, 90)))
    assert found.upper - found.lower > 0.9
    with pytest.raises(RimError, match=r"of 3 models.*cannot be told from guessing"):
        corrected_rate(60, 200, measured_on((60, 50), (50, 45), (40, 55)))


@pytest.mark.parametrize("models", [3, 5])
@pytest.mark.parametrize("truth", [0.05, 0.4])
def test_covers_the_truth_of_a_model_that_was_not_measured(models: int, truth: float) -> None:
    """Logits vary between models by 0.7; one calibration pooled over them misses."""
    rng = np.random.default_rng(2026)
    covered, by_pooled = [], []
    for _ in range(200):
        logits = rng.normal((2.6, 3.2), 0.7, size=(models + 1, 2))
        shares = 1 / (1 + np.exp(-logits))
        counts = rng.binomial(200, shares[:-1])
        judge = [
            Calibration(true_positives=tp, positives=200, true_negatives=tn, negatives=200)
            for tp, tn in counts.tolist()
        ]
        pooled = Calibration(
            true_positives=sum(one.true_positives for one in judge),
            positives=200 * models,
            true_negatives=sum(one.true_negatives for one in judge),
            negatives=200 * models,
        )
        se, sp = shares[-1]
        k = int(judged(rng.random(300) < truth, se, sp, rng).sum())
        by_pooled.append(_holds(corrected_rate(k, 300, pooled), truth))
        covered.append(_holds(corrected_rate(k, 300, judge), truth))
    assert np.mean(covered) >= 0.94
    assert np.mean(by_pooled) < 0.85


def _holds(found: CorrectedRate, truth: float) -> bool:
    return found.lower <= truth <= found.upper


def judged(
    truth: NDArray[np.bool_], se: float, sp: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    return rng.random(truth.shape) < np.where(truth, se, 1 - sp)


@pytest.mark.parametrize(
    ("target", "reference", "phi", "think", "no_think"),
    [
        (0.15, 0.15, 0.3, (0.90, 0.90), (0.90, 0.97)),
        (0.23, 0.15, 0.5, (0.80, 0.86), (0.92, 0.98)),
        (0.57, 0.08, 0.1, (0.85, 0.85), (0.95, 0.95)),
    ],
)
def test_covers_the_truth_where_the_raw_difference_does_not(
    target: float,
    reference: float,
    phi: float,
    think: tuple[float, float],
    no_think: tuple[float, float],
) -> None:
    rng = np.random.default_rng(2026)
    b, c = discordant_shares(target, reference, phi)
    cells = (target - b, b, c, 1 - target - c)
    covered, raw = [], []
    for _ in range(120):
        drawn = rng.choice(4, size=300, p=cells)
        high = judged(drawn <= 1, *think, rng)
        low = judged((drawn == 0) | (drawn == 2), *no_think, rng)
        pairs = PairCounts(
            int((high & low).sum()),
            int((high & ~low).sum()),
            int((~high & low).sum()),
            int((~high & ~low).sum()),
        )
        calibrations = [
            Calibration(
                true_positives=int(rng.binomial(200, se)),
                positives=200,
                true_negatives=int(rng.binomial(200, sp)),
                negatives=200,
            )
            for se, sp in (think, no_think)
        ]
        found = corrected_difference(pairs, calibrations[0], calibrations[1])
        covered.append(found.lower <= 100 * (target - reference) <= found.upper)
        raw.append(found.raw)
    assert abs(np.mean(raw) - 100 * (target - reference)) > 1.5
    assert 0.91 <= np.mean(covered) <= 0.99
