import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from rim_eval.errors import RimError
from rim_eval.statistics import (
    Calibration,
    PairCounts,
    corrected_difference,
    corrected_rate,
    discordant_shares,
)

GOOD = Calibration(true_positives=180, positives=200, true_negatives=190, negatives=200)


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


@pytest.mark.parametrize("counts", [(52, 100, 50, 100), (7, 10, 6, 10), (20, 100, 70, 100)])
def test_a_judge_near_guessing_is_refused(counts: tuple[int, int, int, int]) -> None:
    names = ("true_positives", "positives", "true_negatives", "negatives")
    poor = Calibration(**dict(zip(names, counts, strict=True)))
    with pytest.raises(RimError, match="cannot be told from guessing"):
        corrected_rate(10, 100, poor)


def test_impossible_calibration_is_refused() -> None:
    with pytest.raises(ValidationError):
        Calibration(true_positives=3, positives=2, true_negatives=1, negatives=1)


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
    for _ in range(1000):
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
    assert 0.93 <= np.mean(covered) <= 0.97
