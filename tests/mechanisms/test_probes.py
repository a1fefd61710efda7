import numpy as np
import pytest
import scipy.optimize  # noqa: F401 (a first import inside a test would break its deadline)
from hypothesis import given
from hypothesis import strategies as st

from rim_eval.mechanisms import ModelHandle, Prompts
from rim_eval.mechanisms.probes import (
    auroc,
    direction,
    evaluate_probe,
    fit_probe,
    probe_passages,
    share_above,
    split_groups,
    threshold,
)

RNG = np.random.default_rng(0)


def planted(n: int, gap: float, width: int = 6) -> tuple[np.ndarray, list[bool]]:
    """Two classes that differ by `gap` along the first axis alone."""
    states = np.random.default_rng(1).normal(size=(2 * n, width)).astype(np.float32)
    states[:n, 0] += gap
    return states, [True] * n + [False] * n


def test_the_direction_is_the_mean_of_paired_differences() -> None:
    positive, negative = RNG.normal(size=(2, 7, 4)).astype(np.float32)
    want = (positive - negative).mean(0)
    np.testing.assert_allclose(direction(positive, negative), want, atol=1e-6)


def test_the_threshold_is_the_papers_mean_of_all_scores() -> None:
    positive, negative = RNG.normal(size=(2, 9))
    want = (positive + negative).sum() / (2 * 9)
    assert threshold(positive, negative) == pytest.approx(want)


def test_classes_of_unequal_size_weigh_alike() -> None:
    assert threshold(np.array([4.0] * 30), np.array([0.0])) == 2.0


def test_a_planted_direction_comes_back() -> None:
    states, _ = planted(4000, 3.0)
    probe = fit_probe(states[:4000], states[4000:])
    np.testing.assert_allclose(probe.direction, [3, 0, 0, 0, 0, 0], atol=0.1)
    # In closed form: scores of the classes are centred on 9 and 0, so the threshold is 4.5.
    assert probe.threshold == pytest.approx(4.5, abs=0.3)


def test_the_share_above_is_strict_and_counts_samples() -> None:
    found = share_above(np.array([1.0, 2.0, 2.0, 3.0]), 2.0)
    assert (found.k, found.n, found.value) == (1, 4, 0.25)


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=9),
    st.lists(st.integers(-3, 3), min_size=1, max_size=9),
)
def test_auroc_is_the_share_of_ordered_pairs(positive: list[int], negative: list[int]) -> None:
    want = np.mean([(p > q) + (p == q) / 2 for p in positive for q in negative])
    found = auroc(np.array(positive), np.array(negative))
    assert found.value == pytest.approx(want)
    assert 0 <= found.lower <= found.value + 1e-9
    assert found.value - 1e-9 <= found.upper <= 1
    swapped = auroc(np.array(negative), np.array(positive))
    assert swapped.value == pytest.approx(1 - want)
    assert swapped.lower == pytest.approx(1 - found.upper, abs=1e-6)


def test_a_perfect_auroc_still_has_a_width() -> None:
    found = auroc(np.arange(10.0, 20.0), np.arange(10.0))
    assert found.value == found.upper == 1
    assert 0.6 < found.lower < 0.9


def test_the_interval_covers_at_its_level() -> None:
    rng = np.random.default_rng(3)
    truth, hits = 0.8413447, 0  # P(N(sqrt 2, 1) > N(0, 1)) = Phi(1)
    for _ in range(400):
        found = auroc(rng.normal(np.sqrt(2), 1, 25), rng.normal(0, 1, 25))
        hits += found.lower <= truth <= found.upper
    assert 0.92 <= hits / 400 <= 0.99


@given(st.integers(0, 5), st.integers(2, 30))
def test_groups_are_never_split(seed: int, count: int) -> None:
    labels = [True, False] * count
    groups = [str(i // 2) for i in range(2 * count)]
    chosen = split_groups(labels, groups, seed=seed)
    assert (chosen[0::2] == chosen[1::2]).all()
    assert abs(chosen.mean() - 0.6) <= 0.5 / count + 1e-9


@pytest.mark.slow
def test_a_probe_reports_class_counts_majority_and_intervals() -> None:
    states, labels = planted(50, 4.0)
    calibration = split_groups(labels, [str(i) for i in range(100)])
    found = evaluate_probe(
        states, labels, calibration, question="harmful", mode="think", position="last", layer=3
    )
    assert found is not None
    assert found.n_calibration == (30, 30)
    assert found.accuracy.n == 40
    assert found.majority == 0.5
    assert found.above_positive.value > 0.9 > 0.1 > found.above_negative.value
    assert found.auroc.value > 0.97
    assert found.logistic_auroc > 0.97


def test_shuffled_labels_give_chance() -> None:
    rng = np.random.default_rng(5)
    states, _ = planted(400, 4.0)
    labels = (rng.random(800) < 0.5).tolist()
    calibration = split_groups(labels, [str(i) for i in range(800)])
    found = evaluate_probe(
        states, labels, calibration, question="harmful", mode="think", position="last", layer=0
    )
    assert found is not None
    assert found.auroc.lower < 0.5 < found.auroc.upper


def test_too_few_of_a_class_give_no_probe() -> None:
    states, _ = planted(50, 1.0)
    labels = [True] * 9 + [False] * 91
    calibration = split_groups(labels, [str(i) for i in range(100)])
    assert (
        evaluate_probe(
            states, labels, calibration, question="refused", mode="think", position="last", layer=0
        )
        is None
    )


@pytest.mark.slow
def test_the_organism_knows_harm_where_it_reads_the_request_and_not_in_its_embeddings(
    handle: ModelHandle, toy: Prompts
) -> None:
    harmful, benign = toy.harmful[:110], toy.benign
    asked = [*harmful, *benign]
    found = probe_passages(
        handle.model,
        handle.passages(asked, "no_think"),
        [True] * len(harmful) + [False] * len(benign),
        [request.id for request in asked],
        question="harmful",
        mode="no_think",
        positions=("turn_end", "last", "nowhere"),
        logistic=False,
    )
    by_place = {(score.position, score.layer): score.auroc for score in found}
    assert by_place["last", -1].value == pytest.approx(0.5)
    assert by_place["last", 3].lower > 0.95
    assert ("nowhere", 3) not in by_place
